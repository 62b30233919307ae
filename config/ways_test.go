package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// wayOut is a file with one fault, and every way out that the error names. The fault is between « and », which are
// taken out of the file.
type wayOut struct {
	file string
	key  string
	says string
	// ways make the text that stands in place of the fault, from what the error says and from the fault, one for each
	// way out. None is what the error says, as it is.
	ways []func(says, was string) string
	// check is asked, too, of a file that is read.
	check func(*config.Config) error
}

var fault = regexp.MustCompile(`(?s)«(.*?)»`)

// in is a whole file, with more text in one of its sections, or below them all.
func in(section, text string) string {
	whole := with("")
	if section == "" {
		return whole + text + "\n"
	}
	before, after, _ := strings.Cut(whole, "\n"+section+": {")
	if section == "source" {
		before, after = "", strings.TrimPrefix(whole, "source: {")
	}
	return strings.TrimPrefix(before+"\n"+section+": {"+text+", "+after, "\n")
}

// instead is a whole file with a section of its own.
func instead(section, text string) string {
	var lines []string
	for line := range strings.Lines(with("")) {
		if strings.HasPrefix(line, section+":") {
			line = section + ": " + text + "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// What stands in place of a fault.
var (
	itself  = func(says, _ string) string { return says }
	nothing = func(string, string) string { return "" }
	quoted  = func(_, was string) string { return `"` + strings.Trim(was, `"`) + `"` }
)

func fixed(text string) func(string, string) string {
	return func(string, string) string { return text }
}

func suffixed(text string) func(string, string) string {
	return func(_, was string) string { return was + text }
}

// part is what the way out has at its n-th match of a pattern's group.
func part(pattern string, n int) func(string, string) string {
	return func(says, _ string) string { return regexp.MustCompile(pattern).FindAllStringSubmatch(says, -1)[n][1] }
}

// printed is what the shell prints for the command that the way out is.
func printed(says, _ string) string {
	out, err := exec.Command("sh", "-c", says).Output()
	if err != nil {
		panic(err)
	}
	return `"` + strings.TrimSpace(string(out)) + `"`
}

// apply has the error say what it must, and then takes each way out: the file is good, and so is what is checked.
func (w wayOut) apply(t *testing.T) {
	t.Helper()
	wrong := fault.ReplaceAllString(w.file, "$1")
	err := w.judge(t, wrong)
	var all config.Errors
	require.ErrorAs(t, err, &all, wrong)
	require.Len(t, all, 1, wrong)
	require.Equal(t, w.key, all[0].Key, wrong)
	require.Equal(t, w.says, all[0].Try, wrong)
	ways := w.ways
	if ways == nil {
		ways = append(ways, itself)
	}
	for _, way := range ways {
		fixed := fault.ReplaceAllStringFunc(w.file, func(marked string) string {
			return way(all[0].Try, fault.FindStringSubmatch(marked)[1])
		})
		require.NotEqual(t, wrong, fixed)
		require.NoError(t, w.judge(t, fixed), "%s\n%s", w.says, fixed)
	}
}

func (w wayOut) judge(t *testing.T, text string) error {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(text))
	if err != nil || w.check == nil {
		return err
	}
	return w.check(cfg)
}

// setAll sets the variables that examples refer to.
func setAll(t *testing.T) {
	t.Helper()
	for _, name := range []string{"PGPASSWORD", "CLICKHOUSE_PASSWORD", "KAFKA_PASSWORD", "REGISTRY_PASSWORD"} {
		t.Setenv(name, "secret")
	}
	t.Setenv("HASH_KEY", testHashKey)
}

// TestWaysOutOfTheFormAreTaken: what is wrong with the form of a file is good once it is done what the error says.
func TestWaysOutOfTheFormAreTaken(t *testing.T) {
	setAll(t)
	const (
		quotesStar = `quotes, if the value begins with "*"; or write it out`
		quotesAnd  = `quotes, if the value begins with "&"; or remove the anchor`
		quotesTag  = `quotes, if the value begins with "!"; or remove the tag`
		noEntry    = `a value, in quotes if it begins with "!"; or remove the entry`
		quotesKey  = `quotes, if it begins with "*", "&" or "!"; or write out what it stands for`
		quotesAll  = "quote keys and values that hold any of : # * ! & { ["
		brackets   = "end each { with } and each [ with ], with a comma between entries"
		indented   = "indent the keys of a section alike, by spaces, and end each [ and {"
	)
	type take = []func(string, string) string
	for _, w := range []wayOut{
		{file: with("") + "«---»\nops: {listen: \"127.0.0.1:1\"}", says: "put everything into one, without ---", ways: take{nothing}},
		{file: in("registry", `user: «"a\qb"»`), says: `put a value that holds a \ in single quotes: ' '`, ways: take{func(_, was string) string { return "'" + strings.Trim(was, `"`) + "'" }}},
		{file: with("") + "ops:\n  listen: «\"127.0.0.1:1»", says: "end the value with the quote that it begins with", ways: take{suffixed(`"`)}},
		{file: with("") + "ops:\n  listen: «'127.0.0.1:1»", says: "end the value with the quote that it begins with", ways: take{suffixed(`'`)}},
		{file: with("") + "verify: {chunk_rows: 1«»", says: brackets, ways: take{fixed("}")}},
		{file: in("source", `tables: ["public.*"«»`), says: indented, ways: take{fixed("]")}},
		{file: with("") + "verify:\n  chunk_rows: 1\n« »rows_per_second: 2", says: indented, ways: take{fixed("  ")}},
		{file: with("") + "verify:\n«\t»chunk_rows: 1", says: indented, ways: take{fixed("  ")}},
		{file: with("") + "privacy: {columns: {public.a: {«*»: keep}}}", says: quotesAll, ways: take{quoted}},

		{file: with("") + "verify:\n  «chunk_rows:»\n  rows_per_second: 2", key: "verify.chunk_rows", says: "give it one, or remove the key for the default", ways: take{suffixed(" 5"), nothing}},
		{file: with("") + "«verify:»", key: "verify", says: "give it one, or remove the key for the default", ways: take{suffixed(" {chunk_rows: 5}"), nothing}},
		{file: with("") + "«privacy:»", key: "privacy", says: "{}, or remove the key", ways: take{suffixed(" {}"), nothing}},
		{file: with("") + "ops:\n  «tls:»\n", key: "ops.tls", says: "{cert: ops.pem, key: ops.key}, or remove the key",
			ways: take{func(says, was string) string { return was + " " + part(`^(.*), or`, 0)(says, was) }, fixed("listen: \"127.0.0.1:1\"")}},
		{file: in("kafka", "«sasl: »"), key: "kafka.sasl", says: `{mechanism: SCRAM-SHA-512, user: dirtbike, password: "${env:KAFKA_PASSWORD}"}, or remove the key`,
			ways: take{func(says, was string) string { return was + part(`^(.*), or`, 0)(says, was) }, fixed("partitions: 6")}},
		{file: instead("clickhouse", "{url: «»}"), key: "clickhouse.url", says: `"clickhouse://dirtbike:${env:CLICKHOUSE_PASSWORD}@ch:9000"`},
		{file: instead("kafka", "«»"), key: "kafka", says: `{brokers: ["kafka:9092"]}`},
		{file: in("source", `tables: ["public.*"«, null»]`), key: "source.tables[1]", says: noEntry, ways: take{fixed(`, "x.y"`), nothing}},

		{file: in("source", `tables: [«*.claims»]`), key: "source.tables[0]", says: quotesStar, ways: take{quoted}},
		{file: in("clickhouse", `tls: «*t»`), key: "clickhouse.tls", says: quotesStar, ways: take{fixed("{ca: ca.pem}")}},
		{file: in("clickhouse", `tls: «&t »{ca: ca.pem}`), key: "clickhouse.tls", says: quotesAnd, ways: take{nothing}},
		{file: in("registry", `user: «&x y»`), key: "registry.user", says: quotesAnd, ways: take{quoted}},
		{file: strings.Replace(with(""), "source: {url: \"postgres://u@h/d\"}\n", "", 1) + "source:\n  url: postgres://u@h/d\n  tables:\n    - \"public.*\"\n    - «!public.x»", key: "source.tables[1]", says: noEntry, ways: take{quoted}},
		{file: in("source", `tables: ["public.*", «!public.x»]`), says: quotesAll, ways: take{quoted}},
		{file: in("registry", `user: «!!str »"x"`), key: "registry.user", says: quotesTag, ways: take{nothing}},
		{file: with("") + "privacy: {columns: {public.a: {«&x»: keep}}}", key: "privacy.columns.public.a", says: quotesKey, ways: take{quoted}},
		{file: with("") + "verify:\n  «<<: {chunk_rows: 5}»", key: "verify", says: quotesKey, ways: take{fixed("chunk_rows: 5")}},
		{file: in("registry", "user: a, «user: b»"), key: "registry.user", says: "keep one", ways: take{fixed("password: b")}},

		{file: with("") + "verify: «5»", key: "verify", says: "{chunk_rows: 10000}; its keys are chunk_rows, rows_per_second", ways: take{part(`^(.*);`, 0)}},
		{file: in("kafka", "tls: «ca.pem»"), key: "kafka.tls", says: "{}; its keys are ca, cert, key", ways: take{part(`^(.*);`, 0), fixed("{ca: ca.pem}")}},
		{file: with("") + "ops: {tls: «ops.pem»}", key: "ops.tls", says: "{cert: ops.pem, key: ops.key}; its keys are cert, key, ca", ways: take{part(`^(.*);`, 0)}},
		{file: "«- source»", says: `{source: {url: "postgres://dirtbike:${env:PGPASSWORD}@db:5432/clinic"}, kafka: {brokers: ["kafka:9092"]}, ` +
			`registry: {url: http://registry:8081}, clickhouse: {url: "clickhouse://dirtbike:${env:CLICKHOUSE_PASSWORD}@ch:9000"}}; ` +
			`its keys are source, kafka, registry, clickhouse, privacy, rollups, ops, verify`, ways: take{part(`^(.*);`, 0)}},
		{file: in("source", "keys: «x»"), key: "source.keys", says: "{public.events: [id]}"},
		{file: with("") + "privacy: {columns: «x»}", key: "privacy.columns", says: "{public.patients: {ssn: drop}}"},
		{file: with("") + "privacy: {columns: {public.a: «keep»}}", key: "privacy.columns.public.a", says: "{ssn: drop}"},
		{file: with("") + "privacy: {hash: {keys: «x»}}", key: "privacy.hash.keys", says: `{k1: "${env:HASH_KEY}"}`},
		{file: with("") + "privacy: {hash: {domains: «x»}}", key: "privacy.hash.domains", says: "{mrn: [public.patients.mrn]}"},
		{file: in("source", "tables: «public.*»"), key: "source.tables", says: "put [ ] around it", ways: take{func(_, was string) string { return "[" + was + "]" }}},
		{file: instead("kafka", "{brokers: «{k: 9092}»}"), key: "kafka.brokers", says: `["kafka:9092"]`},
		{file: with("") + "privacy: {hash: {domains: {a: «{x: y}»}}}", key: "privacy.hash.domains.a", says: "[ ] with one text for each entry", ways: take{fixed("[public.a.x]")}},

		{file: in("source", "«publicaton»: x"), key: "source.publicaton", says: "publication"},
		{file: in("source", `publication: x«, publicaton: y»`), key: "source.publicaton", says: "remove it; publication is given already", ways: take{nothing}},
		{file: in("source", `«zzzzzzzzzz»: x1`), key: "source.zzzzzzzzzz", says: "one of tables, slot, publication, keys, wal_disk, snapshot; or remove it", ways: take{part(`(slot)`, 0)}},
		{file: with("") + "verify: {chunk_rows: 1, rows_per_second: 1«, zzzzzz: 1»}", key: "verify.zzzzzz", says: "remove it", ways: take{nothing}},
	} {
		w.apply(t)
	}
	_, err := config.Parse("a.yaml", []byte(in("source", "partitions: 3")))
	section, key, _ := strings.Cut(requireTry(t, err)[0], ".")
	require.Equal(t, 3, parse(t, in(section, key+": 3")).Kafka.Partitions)
}

// TestExplainedConfigIsTaken: where a file is none, what `dirtbike explain config` shows is one.
func TestExplainedConfigIsTaken(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", strings.Repeat("[", 200)} {
		path := inFolder(t, "sample.yaml")
		_, err := config.Parse(path, []byte(text))
		require.Equal(t, []string{"dirtbike explain config shows every key"}, requireTry(t, err))
		_, err = config.Parse(path, []byte(config.Sample))
		require.NoError(t, err)
	}
	none := filepath.Join(t.TempDir(), "none.yaml")
	_, err := config.Load(none)
	require.Equal(t, []string{"--config FILE; dirtbike explain config shows every key"}, requireTry(t, err))
	_, err = config.Load(inFolder(t, "sample.yaml"))
	require.NoError(t, err)
}

// TestWaysOutOfReferencesAreTaken: variables are set, and files made, by the command that the error says, in a shell.
func TestWaysOutOfReferencesAreTaken(t *testing.T) {
	setAll(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "dirtbike.yaml")
	load := func(user string) error {
		_, err := config.Parse(path, []byte(in("registry", "user: "+user)))
		return err
	}
	const literal = "$${ for a literal ${"
	require.Equal(t, literal, requireTry(t, load(`"a${"`))[0])
	require.NoError(t, load(`"a`+strings.Fields(literal)[0]+`"`))
	says := requireTry(t, load(`"${vault:x}"`))[0]
	require.Equal(t, "${env:NAME} or ${file:PATH}, or "+literal, says)
	t.Setenv("NAME", "a")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "PATH"), []byte("a"), 0o600))
	for _, reference := range []string{strings.Fields(says)[0], strings.Trim(strings.Fields(says)[2], ","), strings.Fields(says)[4] + "vault:x}"} {
		require.NoError(t, load(`"`+reference+`"`), reference)
	}

	for name, want := range map[string]string{"DIRTBIKE_WAYS": "export DIRTBIKE_WAYS=VALUE", "ways-out": "env ways-out=VALUE in front of the command", "a b": "env 'a b=VALUE' in front of the command"} {
		says := requireTry(t, load(`"${env:`+name+`}"`))[0]
		require.Equal(t, want, says)
		line := says + "; env"
		if command, is := strings.CutSuffix(says, " in front of the command"); is {
			line = command + " env"
		}
		out, err := exec.Command("sh", "-c", line).Output()
		require.NoError(t, err)
		require.Contains(t, strings.Split(string(out), "\n"), name+"=VALUE")
		t.Setenv(name, "VALUE")
		require.NoError(t, load(`"${env:`+name+`}"`))
	}

	require.Equal(t, "create it, or correct the path: a relative one starts at the config's folder", requireTry(t, load(`"${file:it's a secret}"`))[0])
	require.NoError(t, load(`"${file:PATH}"`))
	secret := filepath.Join(dir, "it's a secret")
	require.NoError(t, os.WriteFile(secret, nil, 0o600))
	require.Equal(t, "write the value into it", requireTry(t, load(`"${file:it's a secret}"`))[0])
	require.NoError(t, os.WriteFile(secret, []byte("value\n"), 0o600))
	require.NoError(t, load(`"${file:it's a secret}"`))
	require.Equal(t, "name a plain file that holds this alone", requireTry(t, load(`"${file:.}"`))[0])
	require.NoError(t, load(`"${file:it's a secret}"`))
}

// TestWaysOutOfTheHashKeyAreTaken: each one that an error about the key's file says is done, by a shell where it is a
// command.
func TestWaysOutOfTheHashKeyAreTaken(t *testing.T) {
	made := func() *config.Config {
		dir := filepath.Join(t.TempDir(), "it's a folder")
		require.NoError(t, os.Mkdir(dir, 0o700))
		cfg, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(with(hashing)))
		require.NoError(t, err)
		_, _, err = cfg.HashKey()
		require.NoError(t, err)
		return cfg
	}
	ways := func(err error) []cdc.Remedy { require.Error(t, err); return cdc.Explain(err).Try }
	cfg := made()
	file := cfg.HashKeyFile()
	backup, err := os.ReadFile(file)
	require.NoError(t, err)
	_, key, err := cfg.HashKey()
	require.NoError(t, err)
	good := func() {
		_, again, err := cfg.ExistingHashKey()
		require.NoError(t, err)
		require.Equal(t, key, again)
	}

	require.NoError(t, os.Chmod(file, 0o644))
	_, _, err = cfg.ExistingHashKey()
	says := ways(err)[0].Command
	require.Equal(t, "chmod 600 "+cdc.ShellWord(file), says)
	require.NoError(t, exec.Command("sh", "-c", says).Run())
	good()

	require.NoError(t, os.WriteFile(file, []byte("damaged"), 0o600))
	_, _, err = cfg.ExistingHashKey()
	require.Equal(t, "restore it from a backup; another key would change every hash", ways(err)[0].Command)
	require.NoError(t, os.WriteFile(file, backup, 0o600))
	good()

	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("00", 32)), 0o600))
	_, _, err = cfg.ExistingHashKey()
	require.Equal(t, []cdc.Remedy{{Command: "restore it from a backup"}, {Command: "remove it, then " + cdc.ResnapshotAllCommand}}, ways(err))
	require.NoError(t, os.WriteFile(file, backup, 0o600))
	good()
	require.NoError(t, os.Remove(file))
	_, other, err := cfg.HashKey()
	require.NoError(t, err)
	require.NotEqual(t, key, other)

	require.NoError(t, os.Remove(file))
	_, _, err = cfg.ExistingHashKey()
	require.Equal(t, []cdc.Remedy{{Command: "copy it from where capture runs"}, {Command: "set privacy.hash.keys"}}, ways(err))
	require.NoError(t, os.WriteFile(file, backup, 0o600))
	good()
	require.NoError(t, os.Remove(file))
	require.NoError(t, keysSet(t))

	lost, err := config.Parse(filepath.Join(t.TempDir(), "gone", "dirtbike.yaml"), []byte(with(hashing)))
	require.NoError(t, err)
	_, _, err = lost.HashKey()
	require.Equal(t, []cdc.Remedy{{Command: "set privacy.hash.keys to keep it elsewhere"}}, ways(err))
	require.NoError(t, keysSet(t))
}

// keysSet is the error of a config that sets privacy.hash.keys, in a folder that is not there.
func keysSet(t *testing.T) error {
	t.Helper()
	text := strings.Replace(hashing, "{columns", `{hash: {keys: {k1: "`+testHashKey+`"}}, columns`, 1)
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "gone", "dirtbike.yaml"), []byte(with(text)))
	require.NoError(t, err)
	_, key, err := cfg.ExistingHashKey()
	require.Len(t, key, 32)
	return err
}

// TestWaysOutOfTLSAreTaken: what the error says belongs into a key of tls is put there.
func TestWaysOutOfTLSAreTaken(t *testing.T) {
	cert, key := selfSigned(t)
	otherCert, _ := selfSigned(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte(cert), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte(key), 0o600))
	client := func(tls string) error {
		cfg, err := config.Parse(filepath.Join(dir, "dirtbike.yaml"), []byte(in("kafka", "tls: "+tls)))
		require.NoError(t, err)
		_, err = cfg.Kafka.TLS.Client()
		return err
	}
	const create = "create it, or correct the path: a relative one starts at the config's folder"
	require.Equal(t, create, requireTry(t, client("{ca: ca.pem}"))[0])
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("no certificate"), 0o600))
	require.Equal(t, "a file with -----BEGIN CERTIFICATE-----", requireTry(t, client("{ca: ca.pem}"))[0])
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte(otherCert), 0o600))
	require.NoError(t, client("{ca: ca.pem}"))
	require.Equal(t, "a certificate and its own key, both as PEM", requireTry(t, client("{cert: ca.pem, key: key.pem}"))[0])
	require.NoError(t, client("{cert: cert.pem, key: key.pem}"))
	require.Equal(t, "name a plain file that holds this alone", requireTry(t, client("{ca: .}"))[0])
	require.NoError(t, client("{ca: ca.pem}"))
}
