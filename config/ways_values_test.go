package config_test

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
)

// TestWaysOutOfValuesAreTaken: what is wrong with a value is good once it is done what the error says.
func TestWaysOutOfValuesAreTaken(t *testing.T) {
	setAll(t)
	const (
		random     = "openssl rand -hex 32"
		encode     = "percent-encode special characters of the password (@ is %40, / is %2F, # is %23, ? is %3F, % is %25)"
		aPostgres  = "postgres://user@host:5432/database"
		aBroker    = `"kafka:9092"`
		aColumn    = `"public.patients.mrn"`
		secondKeys = "set registry.user too, or remove the password"
	)
	type take = []func(string, string) string
	like := take{part(`like (.*)`, 0)}
	for _, w := range []wayOut{
		{file: in("registry", "user: «12»"), key: "registry.user", says: "put it in quotes", ways: take{quoted}},
		{file: in("registry", "user: «true»"), key: "registry.user", says: "put it in quotes", ways: take{quoted}},
		{file: in("registry", "user: «[x]»"), key: "registry.user", says: "one text, without [ ] and { }", ways: take{func(_, was string) string { return strings.Trim(was, "[]{}") }}},
		{file: in("source", "slot: «{x: 1}»"), key: "source.slot", says: "dirtbike"},
		{file: in("kafka", `partitions: «"6"»`), key: "kafka.partitions", says: "digits without quotes, like 6", ways: like},
		{file: in("source", "snapshot: {workers: «two»}"), key: "source.snapshot.workers", says: "digits without quotes, like 2", ways: like},
		{file: in("kafka", `replay_horizon: «60»`), key: "kafka.replay_horizon", says: `a number with a unit, like "168h"`, ways: like},
		{file: in("kafka", `replay_horizon: «-5m»`), key: "kafka.replay_horizon", says: `a number with a unit, like "168h"`, ways: like},
		{file: in("clickhouse", "load: {memory: «1 heap»}"), key: "clickhouse.load.memory", says: `a number with a unit, like "256MB"`, ways: like},
		{file: in("clickhouse", "load: {flush_interval: «10 s»}"), key: "clickhouse.load.flush_interval", says: `a number with a unit, like "50ms"`, ways: like},
		{file: in("source", "wal_disk: «much»"), key: "source.wal_disk", says: `a number with a unit, like "200GB"`, ways: like},
		{file: in("source", "snapshot: {workers: «0»}"), key: "source.snapshot.workers", says: "1"},
		{file: in("source", "snapshot: {workers: «65»}"), key: "source.snapshot.workers", says: "64"},
		{file: in("kafka", "transaction_timeout: «1h»"), key: "kafka.transaction_timeout", says: "15m"},
		{file: in("kafka", "max_message_bytes: «1kB»"), key: "kafka.max_message_bytes", says: "64KB"},
		{file: in("registry", `user: «""»`), key: "registry.user", says: "a value, or remove it", ways: take{fixed("a")}},
		{file: with("") + "ops: {tls: {«cert: \"\"», key: k}}", key: "ops.tls.cert", says: "ops.pem", ways: take{func(says, _ string) string { return "cert: " + says }}},
		{file: in("registry", `user: «"a\0b"»`), key: "registry.user", says: "a value without one", ways: take{func(_, was string) string { return strings.ReplaceAll(was, `\0`, "") }}},
		{file: in("kafka", "compression: «lz5»"), key: "kafka.compression", says: "lz4"},
		{file: in("kafka", "compression: «quickly»"), key: "kafka.compression", says: "one of none, gzip, snappy, lz4, zstd", ways: take{part(`(\w+)(?:,|$)`, 0), part(`(\w+)(?:,|$)`, 4)}},
		{file: in("source", "slot: «Dirt-Bike»"), key: "source.slot", says: "dirtbike"},

		{file: instead("source", "{url: «nonsense»}"), key: "source.url", says: aPostgres},
		{file: instead("source", "{url: «mysql://h/d»}"), key: "source.url", says: aPostgres},
		{file: instead("source", "{url: «postgres://u:p@h:54e2/d»}"), key: "source.url", says: aPostgres},
		{file: instead("registry", "{url: «ftp://r»}"), key: "registry.url", says: "http://registry:8081"},
		{file: instead("registry", "{url: «http://r:808l»}"), key: "registry.url", says: "http://registry:8081"},
		{file: instead("clickhouse", "{url: «c:9000»}"), key: "clickhouse.url", says: "clickhouse://user:password@host:9000"},
		{file: instead("clickhouse", `{url: "clickhouse://c:9000«/other»"}`), key: "clickhouse.url", says: "leave it out of the address", ways: take{nothing}},
		{file: in("source", "tables: [«claims»]"), key: "source.tables[0]", says: `"public.*"`},
		{file: in("source", `tables: [«»"!public.x"]`), key: "source.tables", says: `"public.*" before the exclusions`, ways: take{func(says, _ string) string { return strings.Fields(says)[0] + ", " }}},
		{file: in("source", "keys: {«public.*»: [a]}"), key: "source.keys.public.*", says: `one table, like "public.patients"`, ways: take{part(`like (.*)`, 0)}},
		{file: in("source", "keys: {«events»: [a]}"), key: "source.keys.events", says: `"public.events"`},
		{file: in("source", "keys: {public.events: [a]«, events: [b]»}"), key: "source.keys.events", says: "remove it", ways: take{nothing}},
		{file: in("source", `keys: {«".": [a]»}`), key: "source.keys..", says: "remove it", ways: take{nothing}},
		{file: in("source", "keys: {«public.e: []»}"), key: "source.keys.public.e", says: "[id], or remove the key",
			ways: take{func(says, _ string) string { return "public.e: " + part(`^(.*),`, 0)(says, "") }, nothing}},
		{file: in("source", "keys: {public.e: [a«, a»]}"), key: "source.keys.public.e[1]", says: "keep one", ways: take{nothing}},
		{file: instead("kafka", "{brokers: «[]»}"), key: "kafka.brokers", says: `["kafka:9092"]`},
		{file: instead("kafka", "{brokers: [«kafka»]}"), key: "kafka.brokers[0]", says: aBroker},
		{file: instead("kafka", `{brokers: [«"k:99999"»]}`), key: "kafka.brokers[0]", says: aBroker},
		{file: in("kafka", "max_transaction: «1MB»"), key: "kafka.max_transaction", says: "16000000"},
		{file: in("clickhouse", "load: {batch_bytes: 10MB, memory: «5MB»}"), key: "clickhouse.load.memory", says: "10000000"},
		{file: in("registry", "«password: x»"), key: "registry.password", says: secondKeys, ways: take{suffixed(", user: a"), fixed("user: a")}},
		{file: in("kafka", "tls: {«cert: a.pem»}"), key: "kafka.tls", says: "give both, or neither", ways: take{suffixed(", key: k.pem"), nothing}},
		{file: with("") + "ops: {listen: «localhost»}", key: "ops.listen", says: `"127.0.0.1:8085"`},
		{file: with("") + "ops: {token: «short»}", key: "ops.token", says: random, ways: take{printed}},
		{file: with("") + "ops: {token: «aaaaaaaaaaaaaaaaaaaaaaaa»}", key: "ops.token", says: random, ways: take{printed}},

		{file: with("") + "privacy: {hash: {keys: {k1: «short»}}}", key: "privacy.hash.keys.k1", says: random, ways: take{printed}},
		{file: with("") + "privacy: {hash: {keys: {k1: «aaaaaaaaaaaaaaaa»}}}", key: "privacy.hash.keys.k1", says: random, ways: take{printed}},
		{file: with("") + "privacy: {hash: {keys: {«main»: " + testHashKey + "}}}", key: "privacy.hash.keys.main", says: "k1"},
		{file: with("") + "privacy: {hash: {active: k1, keys: {k1: " + testHashKey + ", «main»: " + testToken + "}}}", key: "privacy.hash.keys.main", says: "k2"},
		{file: with("") + "privacy: {hash: {active: «k2», keys: {k1: " + testHashKey + "}}}", key: "privacy.hash.active", says: `"k1"`},
		{file: with("") + "privacy: {hash: {active: «other», keys: {k1: " + testHashKey + "}}}", key: "privacy.hash.active", says: `"k1", or add it there`, ways: take{part(`"(k1)"`, 0)}},
		{file: with("") + "privacy: {hash: {active: k7, keys: {«»k1: " + testHashKey + "}}}", key: "privacy.hash.active", says: `"k1"`, ways: take{fixed("k7: " + testToken + ", ")}},
		{file: with("") + "privacy: {hash: {«»keys: {k1: " + testHashKey + ", k2: " + testToken + "}}}", key: "privacy.hash", says: "say which one is in use, like active: k1",
			ways: take{func(says, _ string) string { return part(`like (.*)`, 0)(says, "") + ", " }}},
		{file: with("") + "privacy: {hash: {domains: {mrn: [«mrn»]}}}", key: "privacy.hash.domains.mrn[0]", says: aColumn},
		{file: with("") + "privacy: {hash: {domains: {mrn: «[]»}}}", key: "privacy.hash.domains.mrn", says: "[" + aColumn + "], or remove the key", ways: take{part(`^(.*),`, 0)}},
		{file: with("") + "privacy: {hash: {domains: {a: [public.x.y], b: [public.x.z«, public.x.y»]}}}", key: "privacy.hash.domains.b[1]", says: "keep one", ways: take{nothing}},
		{file: with("") + "«rollups: [{name: daily, sql: SELECT 1}]»", key: "rollups", says: "remove the section; nothing would be computed", ways: take{nothing}},
	} {
		w.apply(t)
	}
	for _, char := range []string{"/", "#", "?", "%"} {
		code := regexp.MustCompile(regexp.QuoteMeta(char) + ` is (%[0-9A-F]{2})`).FindStringSubmatch(encode)[1]
		require.Equal(t, url.QueryEscape(char), code)
		for _, scheme := range []string{"postgres", "clickhouse"} {
			section := map[string]string{"postgres": "source", "clickhouse": "clickhouse"}[scheme]
			wayOut{file: instead(section, `{url: "`+scheme+"://u:se«"+char+"»x@h:9000\"}"), key: section + ".url", says: encode, ways: take{fixed(code)}}.apply(t)
		}
	}
}

// TestRollupIsWrittenAsTheErrorSays: its form is asked before this release refuses it.
func TestRollupIsWrittenAsTheErrorSays(t *testing.T) {
	_, err := config.Parse("a.yaml", []byte(with("rollups: [{name: half}]")))
	ways := requireTry(t, err)
	require.Len(t, ways, 2)
	require.Contains(t, ways, "{name: daily, sql: SELECT …}")
	_, err = config.Parse("a.yaml", []byte(with("rollups: ["+ways[1]+"]")))
	require.Equal(t, []string{"remove the section; nothing would be computed"}, requireTry(t, err))
}

// TestOpsBeyondThisMachineAsTheErrorSays takes each of the ways out: a token that the shell makes, clients'
// authorities, and this machine alone.
func TestOpsBeyondThisMachineAsTheErrorSays(t *testing.T) {
	dir := t.TempDir()
	load := func(ops string) error {
		_, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(with("ops: {"+ops+"}")))
		return err
	}
	says := requireTry(t, load(`listen: "0.0.0.0:8085"`))[0]
	require.Equal(t, `ops.token: "${file:ops.token}" (openssl rand -hex 32 >ops.token), ops.tls with the ca of client certificates, or both; or 127.0.0.1:8085`, says)
	m := regexp.MustCompile(`^ops\.(token: .*) \((.*)\), .* or (\S+)$`).FindStringSubmatch(says)
	require.NotNil(t, m)
	command := exec.CommandContext(t.Context(), "sh", "-c", m[2])
	command.Dir = dir
	require.NoError(t, command.Run())
	require.NoError(t, load(`listen: "0.0.0.0:8085", `+m[1]))
	require.NoError(t, load(`listen: "0.0.0.0:8085", tls: {cert: c.pem, key: k.pem, ca: ca.pem}`))
	require.NoError(t, load(`listen: "`+m[3]+`"`))
}

// TestWaysOutOfNamesAreTaken: a name that the database does not have is good once it is done what the error says.
func TestWaysOutOfNamesAreTaken(t *testing.T) {
	names := []config.TableName{{Schema: "public", Table: "patients"}, {Schema: "public", Table: "visits"}, {Schema: "public", Table: "events"}}
	keys := func(c *config.Config) error { return c.Source.CheckKeys(relations()) }
	globs := func(c *config.Config) error { return c.Source.CheckGlobs(names) }
	policies := func(c *config.Config) error { return c.Privacy.Check(relations()) }
	renamed := func(c *config.Config) error { return c.Privacy.CheckRenamed(relations(), relations()) }
	const (
		theKeys = `public.patients: {tenant: keep, id: hash}, public.visits: {id: keep, seq: keep}`
		open    = "privacy: {mode: open, "
	)
	type take = []func(string, string) string
	for _, w := range []wayOut{
		{check: keys, file: in("source", "keys: {«public.evens»: [seq]}"), key: "source.keys.public.evens", says: `"public.events"`},
		{check: keys, file: in("source", "keys: {public.events: [seq]«, public.evens: [seq]»}"), key: "source.keys.public.evens", says: "remove it", ways: take{nothing}},
		{check: keys, file: in("source", "keys: {public.events: [«sek»]}"), key: "source.keys.public.events[0]", says: `"seq"`},
		{check: keys, file: in("source", "keys: {«sales.orders»: [seq]}"), key: "source.keys.sales.orders", says: "one of public.events, public.patients, public.visits; or remove it", ways: take{part(`one of ([^,]*)`, 0)}},
		{check: globs, file: in("source", "tables: [«public.patient»]"), key: "source.tables[0]", says: `"public.patients"`},
		{check: globs, file: in("source", `tables: ["public.*", «"!public.evens"»]`), key: "source.tables[1]", says: `"!public.events"`},
		{check: globs, file: in("source", `tables: [public.events«, public.event»]`), key: "source.tables[1]", says: "create the table first, or remove the glob", ways: take{nothing}},
		{check: policies, file: with("") + "privacy: {columns: {public.patients: {tenant: keep, id: keep, «snn»: drop}, public.visits: {id: keep, seq: keep}}}",
			key: "privacy.columns.public.patients.snn", says: `"ssn"`},
		{check: policies, file: with("") + open + "columns: {«public.visit»: {mrn: drop}}}", key: "privacy.columns.public.visit", says: `"public.visits"`},
		{check: policies, file: with("") + open + "columns: {public.patients: {id: «mask»}}}", key: "privacy.columns.public.patients.id", says: "keep or hash", ways: take{part(`(\w+)`, 0), part(`(\w+)`, 2)}},
		{check: policies, file: with("") + open + `columns: {public.patients: {id: keep, «»"*": mask}}}`, key: "privacy.columns.public.patients.*",
			says: `"tenant": keep, or "tenant": hash, under privacy.columns.public.patients`,
			ways: take{func(says, _ string) string { return part(`^("tenant": \w+), `, 0)(says, "") + ", " }, func(says, _ string) string { return part(`or ("tenant": \w+), `, 0)(says, "") + ", " }}},
		{check: policies, file: with("") + "privacy: {columns: {public.patients: {tenant: keep, id: keep}, public.visits: {id: keep«»}}}", key: "privacy.columns.public.visits.seq",
			says: `"seq": keep, or "seq": hash, under privacy.columns.public.visits`, ways: take{func(says, _ string) string { return ", " + part(`^("seq": \w+), `, 0)(says, "") }}},
		{check: policies, file: with("") + "privacy: {columns: {" + theKeys + "}, hash: {domains: {mrn: [«public.visits.mnr»]}}}", key: "privacy.hash.domains.mrn[0]", says: `"public.visits.mrn"`},
		{check: policies, file: with("") + "privacy: {columns: {" + theKeys + "}, hash: {domains: {mrn: [public.visits.mrn«, publik.visits.mrn»]}}}", key: "privacy.hash.domains.mrn[1]", says: "remove it", ways: take{nothing}},
		{check: renamed, file: with("") + open + "columns: {public.visits: {mrn: drop}, public.events: {seq: drop}, «public.clients: {ssn: drop}»}}", key: "privacy.columns.public.clients",
			says: `"public.patients" under privacy.columns, with the policies of the former name; or there "public.patients": {"*": keep}`,
			ways: take{func(says, was string) string {
				return strings.Replace(was, "public.clients", part(`^("[^"]*")`, 0)(says, ""), 1)
			},
				func(says, was string) string { return was + ", " + part(`there (.*)`, 0)(says, "") }}},
	} {
		w.apply(t)
	}
	// The table may be created, too.
	cfg := parse(t, in("source", "tables: [public.events, public.event]"))
	require.NoError(t, cfg.Source.CheckGlobs(append(names, config.TableName{Schema: "public", Table: "event"})))
}

// TestTablesAreLeftOutAsTheErrorSays adds the entry that errors about a table name to source.tables: that table alone
// is left out.
func TestTablesAreLeftOutAsTheErrorSays(t *testing.T) {
	rel := &schemas.Relation{Schema: "public", Name: "patients", Columns: []schemas.Column{{Name: "id"}}}
	_, err := schemas.NewTable(rel, "t", keepAll{})
	entry := regexp.MustCompile(`^add (".*") to source\.tables$`).FindStringSubmatch(cdc.Explain(err).Try[0].Command)
	require.NotNil(t, entry)
	before, after := parse(t, in("source", `tables: ["public.*"]`)).Source, parse(t, in("source", `tables: ["public.*", `+entry[1]+"]")).Source
	require.True(t, before.Match("public", "patients"))
	require.False(t, after.Match("public", "patients"))
	require.True(t, after.Match("public", "visits"))
}

// keepAll is the policies of a pipeline without any.
type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }
