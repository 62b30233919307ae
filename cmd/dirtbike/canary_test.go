package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cmd/internal/inventory"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// typedSchema has what speaks of values beside rows: labels of enums, and texts of domains, checks, defaults, generated
// columns, indexes, comments and a partition's bound. Column canaryhidden is withheld with its name.
const typedSchema = `
CREATE TYPE secret_kind AS ENUM ('CANARYLABEL', 'CANARYLABELTWO');
CREATE DOMAIN secret_text AS text CHECK (VALUE <> 'CANARYDOMAIN');
CREATE TYPE secret_pair AS (a text, kind secret_kind);
CREATE TABLE typed (id int PRIMARY KEY, note text DEFAULT 'CANARYDEFAULT', kind secret_kind, kinds secret_kind[], checked secret_text, pair secret_pair,
  made text GENERATED ALWAYS AS ('CANARYMADE' || note) STORED, masked secret_kind, hashed secret_kind, pairs secret_pair, canaryhidden text,
  CONSTRAINT noted CHECK (note <> 'CANARYCONSTRAINT'));
CREATE INDEX ON typed ((checked || 'CANARYINDEX'));
CREATE INDEX ON typed (id) WHERE note <> 'CANARYPREDICATE';
COMMENT ON COLUMN typed.kind IS 'CANARYCOMMENT'; COMMENT ON TYPE secret_kind IS 'CANARYCOMMENT'; COMMENT ON DOMAIN secret_text IS 'CANARYCOMMENT';
COMMENT ON CONSTRAINT noted ON typed IS 'CANARYCOMMENT'; COMMENT ON COLUMN typed.canaryhidden IS 'CANARYCOMMENT';
CREATE TABLE parted (id int, area text, born text, PRIMARY KEY (id, area)) PARTITION BY LIST (area);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('CANARYPART');
INSERT INTO typed VALUES (1, 'CANARYNOTE', 'CANARYLABEL', '{CANARYLABEL}', 'CANARYCHECKED', '(CANARYPAIR,CANARYLABEL)', DEFAULT, 'CANARYLABEL', 'CANARYLABEL', '(CANARYPAIR,CANARYLABEL)', 'CANARYHIDDEN');
INSERT INTO parted VALUES (1, 'CANARYPART', 'CANARYBORN');
`

// typedChanges are made while capture runs.
const typedChanges = `ALTER TYPE secret_kind ADD VALUE 'CANARYADDED';
INSERT INTO typed (id, kind, masked, hashed, pairs) VALUES (2, 'CANARYLABEL', 'CANARYLABELTWO', 'CANARYLABELTWO', '(CANARYPAIR,)');
UPDATE typed SET note = 'CANARYNOTE', kind = 'CANARYLABELTWO', checked = 'CANARYCHECKED', canaryhidden = 'CANARYHIDDEN' WHERE id = 1;
INSERT INTO parted VALUES (2, 'CANARYPART', 'CANARYBORN'); UPDATE parted SET born = 'CANARYBORN' WHERE id = 1`

// typedDrift quarantines the table, for changes that name values.
const typedDrift = `ALTER TYPE secret_kind RENAME VALUE 'CANARYLABEL' TO 'CANARYRENAMED'; ALTER DOMAIN secret_text ADD CHECK (VALUE <> 'CANARYDOMAINTWO');
ALTER TABLE typed ALTER note SET DEFAULT 'CANARYDEFAULTTWO', ADD CONSTRAINT later CHECK (note <> 'CANARYCONSTRAINTTWO'), ALTER masked TYPE text USING 'CANARYUSING';
INSERT INTO typed (id, kind, masked) VALUES (3, 'CANARYRENAMED', 'CANARYUSING')`

// canarySchema has private columns of every way out: a key, a TOASTed text, an old row (identity FULL), a column that
// is not named. The amount in table loose does not fit its declared type, and travels from there to others of that type
// unchecked.
const canarySchema = `
CREATE TABLE people (mrn text PRIMARY KEY, ssn text, name text, zip text, born date, unnamed text, secret_number bigint, amount numeric(6,2));
ALTER TABLE people REPLICA IDENTITY FULL;
CREATE TABLE broken (id int PRIMARY KEY, private text, amount numeric(6,2));
CREATE TABLE odd_copied (id int PRIMARY KEY, private text, amount numeric(6,2));
CREATE TABLE odd_streamed (id int PRIMARY KEY, private text, amount numeric(6,2));
CREATE TABLE big_copied (id int PRIMARY KEY, private text, body text);
CREATE TABLE big_streamed (id int PRIMARY KEY, private text, body text);
CREATE TABLE refused (id int PRIMARY KEY, kept text, number bigint, born date);
CREATE TABLE loose (amount numeric(12,2));
INSERT INTO loose VALUES (98765012.34);
UPDATE pg_attribute SET atttypmod = (6 << 16 | 2) + 4 WHERE attrelid = 'loose'::regclass AND attname = 'amount';`

const canaryPrivacy = `privacy:
  mode: allowlist
  columns:
    public.people: {mrn: hash, ssn: drop, name: mask, zip: zip3, born: year, secret_number: mask, amount: keep}
    public.broken: {id: keep, amount: keep}
    public.odd_streamed: {id: keep, amount: keep}
    public.big_streamed: {id: keep, body: keep}
    public.refused: {"*": keep}
    public.only_text: {"*": keep}
    public.typed: {id: keep, masked: mask, hashed: hash}
    public.parted_a: {id: keep, area: hash, born: mask}
`

// canaryLate is added to the config at the second start.
const canaryLate = `    public.odd_copied: {id: keep, amount: keep}
    public.big_copied: {id: keep, body: keep}
`

// What is searched, each in the forms that it could have as bytes.
var (
	// withheld may be nowhere: private values, and values of rows that were refused.
	withheld = withHex(textForms("CANARYMRN", "CANARYSSN", "CANARYNAME", "CANARYFREE", "CANARYZIP", "90210-7731", "902107731",
		"1931-07-04", "987654-07-13", "CANARYPRIVATE", "CANARYBAD", "CANARYBIG", "98765012",
		"CANARYLABEL", "CANARYADDED", "CANARYRENAMED", "CANARYDOMAIN", "CANARYDEFAULT", "CANARYMADE", "CANARYCONSTRAINT", "CANARYINDEX", "CANARYPREDICATE", "CANARYCOMMENT",
		"CANARYPART", "CANARYNOTE", "CANARYCHECKED", "CANARYPAIR", "CANARYHIDDEN", "CANARYBORN", "CANARYUSING"),
		numberForms(987650123456789), dayForms(987654, time.July, 13), amountForms(9876501234, 9876, 5012, 3400))
	// published may be in topics and tables, but in no log, error, report or metric.
	published = withHex(textForms("CANARYKEPT"), numberForms(456780123456789), dayForms(876543, time.May, 19))
)

// canaryRig is the pipeline with all that it has said.
type canaryRig struct {
	*rig
	said map[string][]byte
}

// TestCanary puts a unique value into every private column, through copy, inserts, updates, key changes, deletes,
// errors and bad input, and then searches for each as bytes in everything dirtbike wrote: topics, ClickHouse's
// directory, logs, metrics, reports. The stack is this test's own: its files are all searched.
func TestCanary(t *testing.T) {
	t.Parallel()
	stack := embeddedtest.Start(t, embedded.Options{})
	for _, c := range []struct{ session, schema string }{
		{"binary", `CREATE TABLE only_text (id int PRIMARY KEY);`}, {"text", `CREATE TABLE only_text (id int PRIMARY KEY, i interval);`},
	} {
		t.Run(c.session, func(t *testing.T) {
			options := rigOptions{stack: stack, tables: `["public.*", "!public.loose", "!public.parted", "!public.*_copied"]`, privacy: canaryPrivacy, kafkaYAML: ", max_message_bytes: 64KB"}
			r := &canaryRig{rig: newRig(t, options, canarySchema+typedSchema+c.schema), said: map[string][]byte{}}
			r.allPass()
			r.someAreRefused()
			r.requireNone()
		})
	}
}

// insert adds a person with a canary in every column.
func (r *canaryRig) insert(n int, zip, born string) {
	r.Helper()
	r.exec(`INSERT INTO people VALUES ($1, $2, $3, $4, $5::text::date, $6, 987650123456789, 1)`,
		fmt.Sprintf("CANARYMRN%d", n), fmt.Sprintf("CANARYSSN%d", n), fmt.Sprintf("CANARYNAME%d", n), zip, born, "CANARYFREE"+strings.Repeat("f", 4000))
}

// allPass carries good rows, and checks what is published of them.
func (r *canaryRig) allPass() {
	r.Helper()
	r.insert(1, "90210-7731", "1931-07-04")
	r.insert(2, "CANARYZIP", "987654-07-13")
	r.exec(`INSERT INTO broken VALUES (1, 'CANARYPRIVATE', 1); INSERT INTO refused VALUES (1, 'CANARYKEPT', 456780123456789, '876543-05-19')`)
	l := r.startDebug()
	r.wait()
	require.Regexp(r, `"level":"warn"[^\n]*public\.refused \((id, )?kept, `, l.output(), "the log at the start says it, too")
	r.insert(3, "90210-7731", "1931-07-04")
	r.insert(4, "CANARYZIP", "987654-07-13")
	r.exec(`UPDATE people SET name = 'CANARYNAME9', amount = 2 WHERE mrn = 'CANARYMRN1'; UPDATE people SET mrn = 'CANARYMRN8' WHERE mrn = 'CANARYMRN2'; DELETE FROM people WHERE mrn = 'CANARYMRN3'`)
	r.execAll(typedChanges)
	r.wait()
	var zips, names, years, numbers string
	require.NoError(r, r.ch().QueryRow(r.Context(), "SELECT toString(arraySort(groupUniqArray(zip))), toString(arraySort(groupUniqArray(born))), toString(groupUniqArray(name)), toString(groupUniqArray(secret_number)) FROM `"+
		r.name+"_raw`.people__g1 WHERE NOT _deleted").Scan(&zips, &years, &names, &numbers))
	require.Equal(r, []string{"['000','902']", fmt.Sprintf("[%d,987654]", time.Now().UTC().Year()-90), "['***']", "[0]"}, []string{zips, years, names, numbers})
	r.plant()
	r.ask("first")
	require.Contains(r, string(r.said["first verify --json"]), `"differing_keys": 1`)
	l.stop()
}

// plant changes a row in ClickHouse, so that verify has a difference to report.
func (r *canaryRig) plant() {
	r.Helper()
	storage := "`" + r.name + "_raw`.refused__g1"
	require.NoError(r, r.ch().Exec(r.Context(), "INSERT INTO "+storage+" SELECT * REPLACE (_version + 1 AS _version, concat(kept, ' changed') AS kept) FROM "+storage+" WHERE id = 1"))
}

// someAreRefused sends what each part must refuse: capture a changed relation, a value that does not fit its type and a
// record that is too large, the latter two in a copy and in the stream, ClickHouse a row; and checks the reasons.
func (r *canaryRig) someAreRefused() {
	r.Helper()
	const big = `'CANARYBIG' || string_agg(md5(g::text), '') FROM generate_series(1, 4000) g`
	const bad = `INSERT INTO odd_%[1]s SELECT 1, 'CANARYPRIVATE', amount FROM loose; INSERT INTO big_%[1]s SELECT 1, 'CANARYPRIVATE', ` + big
	r.exec(fmt.Sprintf(bad, "copied"))
	r.extra.tables, r.extra.privacy = `["public.*", "!public.loose", "!public.parted"]`, canaryPrivacy+canaryLate
	r.writeConfig()
	l := r.startDebug()
	tooWide, tooLarge := "more digits than its declared precision", "makes a record of"
	r.quarantined("odd_copied", tooWide)
	r.quarantined("big_copied", tooLarge)
	r.exec(fmt.Sprintf(bad, "streamed"))
	r.quarantined("odd_streamed", tooWide)
	r.quarantined("big_streamed", tooLarge)
	r.exec(`ALTER TABLE broken ALTER amount TYPE text USING 'CANARYBAD'; INSERT INTO broken VALUES (2, 'CANARYPRIVATE', 'CANARYBAD')`)
	r.quarantined("broken", "column")
	r.execAll(typedDrift)
	r.quarantined("typed", "(column|label)")
	require.NoError(r, r.ch().Exec(r.Context(), "ALTER TABLE `"+r.name+"_raw`.refused__g1 ADD CONSTRAINT no_canary CHECK NOT startsWith(kept, 'CANARYKEPT') AND number != 456780123456789"))
	r.exec(`INSERT INTO refused VALUES (2, 'CANARYKEPT', 456780123456789, '876543-05-19')`)
	r.quarantined("refused", "VIOLATED_CONSTRAINT")
	r.ask("second")
	l.stop()
}

// quarantined waits until status gives a reason for a table.
func (r *canaryRig) quarantined(table, reason string) {
	r.Helper()
	quarantined := regexp.MustCompile(`"public\.` + table + `"[^{}]*` + reason)
	require.Eventually(r, func() bool { return quarantined.MatchString(r.status()) }, 20*time.Second, 200*time.Millisecond, "%s is not quarantined for: %s", table, reason)
}

// ask keeps what the verbs and the endpoints say.
func (r *canaryRig) ask(when string) {
	r.Helper()
	for _, verb := range [][]string{{"status"}, {"status", "--json"}, {"verify"}, {"verify", "--json"}, {"wait", "--timeout", "1s"}, {"inventory"}, {"inventory", "--json"}} {
		_, out, errs := r.verb(verb...)
		r.said[when+" "+strings.Join(verb, " ")] = []byte(out + errs)
	}
	for _, path := range []string{"/metrics", "/status", "/readyz?verbose"} {
		r.said[when+" "+path] = []byte(r.get("http://" + r.listens("run") + path))
	}
	require.Contains(r, string(r.said[when+" /metrics"]), "dirtbike_capture_records_total")
	r.signsOfEffect(when)
}

// signsOfEffect: every sign says which columns leave though nobody named them, those of "*": keep.
func (r *canaryRig) signsOfEffect(when string) {
	r.Helper()
	require.Contains(r, string(r.said[when+" /metrics"]), "\ndirtbike_privacy_open 1\n")
	for _, sign := range []string{" status", " /status", " /readyz?verbose", " inventory"} {
		require.Regexp(r, `public\.refused \((id, )?kept, `, string(r.said[when+sign]), sign)
	}
	var i inventory.Inventory
	require.NoError(r, json.Unmarshal(r.said[when+" inventory --json"], &i))
	at := slices.IndexFunc(i.Tables, func(t inventory.Table) bool { return t.Table == "public.people" })
	require.Equal(r, "born date year", strings.Join([]string{i.Tables[at].Columns[4].Column, i.Tables[at].Columns[4].Type, i.Tables[at].Columns[4].Policy}, " "))
	require.False(r, i.Tables[at].Columns[5].Leaves, "unnamed")
}

// startDebug starts both legs as chatty as they can be, with a folder for temporary files that is searched, too.
func (r *canaryRig) startDebug() *process {
	r.Helper()
	self, err := os.Executable()
	require.NoError(r, err)
	return r.startBuild(self, "run", []string{"--log-level", "debug"}, "TMPDIR="+r.dir)
}

// form is one way in which a value could be written.
type form struct {
	what  string
	bytes []byte
}

// withHex adds to the forms what an error shows of bytes.
func withHex(lists ...[]form) []form {
	all := slices.Concat(lists...)
	for _, f := range slices.Clone(all) {
		all = append(all, form{"hex of " + f.what, hex.AppendEncode(nil, f.bytes)})
	}
	return all
}

func textForms(values ...string) (all []form) {
	for _, v := range values {
		all = append(all, form{v, []byte(v)})
	}
	return all
}

// numberForms are a number's digits, Avro's zig-zag varint, ClickHouse's and Postgres' fixed bytes.
func numberForms(n int64) []form {
	return []form{
		{fmt.Sprint(n), fmt.Append(nil, n)}, {fmt.Sprintf("varint %d", n), binary.AppendVarint(nil, n)},
		{fmt.Sprintf("little-endian %d", n), binary.LittleEndian.AppendUint64(nil, uint64(n))},
		{fmt.Sprintf("big-endian %d", n), binary.BigEndian.AppendUint64(nil, uint64(n))},
	}
}

// dayForms are the numbers of a day since 1970 (Avro, ClickHouse) and 2000 (keys, Postgres). The day is far off, so
// that these are long enough to be unique.
func dayForms(year int, month time.Month, day int) []form {
	since1970 := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
	since2000 := since1970 - 10957
	return []form{
		{"varint of the day since 1970", binary.AppendVarint(nil, since1970)}, {"varint of the day since 2000", binary.AppendVarint(nil, since2000)},
		{"little-endian day", binary.LittleEndian.AppendUint32(nil, uint32(since1970))},
		{"big-endian day", binary.BigEndian.AppendUint32(nil, uint32(since2000))},
	}
}

// amountForms are a decimal's unscaled digits for Avro and ClickHouse, and Postgres' groups of four digits.
func amountForms(unscaled uint64, groups ...uint16) []form {
	var postgres []byte
	for _, g := range groups {
		postgres = binary.BigEndian.AppendUint16(postgres, g)
	}
	return []form{
		{"Avro decimal", bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, unscaled), "\x00")},
		{"ClickHouse decimal", bytes.TrimRight(binary.LittleEndian.AppendUint64(nil, unscaled), "\x00")},
		{"Postgres numeric", postgres},
	}
}

// requireNone searches everything. What is published must be found on the way, or nothing was searched.
func (r *canaryRig) requireNone() {
	r.Helper()
	topics := r.topicBytes()
	r.noneIn("topics", topics, withheld)
	for _, f := range []form{published[0], published[2], published[5]} {
		require.True(r, bytes.Contains(topics, f.bytes), "%s is not even in topics", f.what)
	}
	logs, err := filepath.Glob(filepath.Join(r.dir, "*.log"))
	require.NoError(r, err)
	require.Len(r, logs, 2)
	for _, log := range logs {
		content, err := os.ReadFile(log)
		require.NoError(r, err)
		require.Contains(r, string(content), `"level":"debug"`)
		r.said[log] = content
	}
	for place, content := range r.said {
		r.noneIn(place, content, slices.Concat(withheld, published))
	}
	r.noneInFiles(filepath.Dir(filepath.Dir(r.stack.ClickHouse.DataDir())))
	r.noneInCells()
	r.hiddenName()
}

func (r *canaryRig) noneIn(place string, content []byte, forms []form) {
	r.Helper()
	for _, f := range forms {
		require.False(r, bytes.Contains(content, f.bytes), "%s leaked into %s", f.what, place)
	}
}

// topicBytes are all keys, values and headers of all topics of the pipeline, its own included.
func (r *canaryRig) topicBytes() (out []byte) {
	r.Helper()
	admin := r.kafkaAdmin()
	ends, err := admin.ListEndOffsets(r.Context(), r.topics(admin)...)
	require.NoError(r, err)
	left := map[string]bool{} // partitions that are not read to their end
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[fmt.Sprint(o.Topic, o.Partition)] = true
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...), kgo.ConsumeRegex(), kgo.ConsumeTopics(`.*`+r.name+`\..*`), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	require.NoError(r, err)
	defer client.Close()
	ctx, cancel := contextFor(r.rig, time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(r, fetches.Err())
		fetches.EachRecord(func(k *kgo.Record) {
			if end, _ := ends.Lookup(k.Topic, k.Partition); k.Offset >= end.Offset-1 {
				delete(left, fmt.Sprint(k.Topic, k.Partition))
			}
			out = append(append(append(out, k.Topic...), k.Key...), k.Value...)
			for _, h := range k.Headers {
				out = append(append(out, h.Key...), h.Value...)
			}
		})
	}
	return out
}

// noneInFiles searches the pipeline's own folder, and the stack's, except for Postgres' own data. ClickHouse and Kafka
// compress: what is found there is outside columns and batches, or in the literals of small ones; cells and records are
// searched by themselves. Forms of four bytes occur in so much data by chance.
func (r *canaryRig) noneInFiles(stack string) {
	r.Helper()
	long := slices.DeleteFunc(slices.Clone(withheld), func(f form) bool { return len(f.bytes) < 5 })
	var kept []string
	for _, dir := range []string{r.dir, filepath.Join(stack, "log"), filepath.Join(stack, "clickhouse"), filepath.Join(stack, "kafka"), filepath.Join(stack, "registry")} {
		files := 0
		require.NoError(r, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // ClickHouse merges parts during the search
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			files++
			r.noneIn(path, content, long)
			if bytes.Contains(content, published[2].bytes) || bytes.Contains(content, published[3].bytes) {
				kept = append(kept, path)
			}
			return nil
		}))
		require.NotZero(r, files, dir)
	}
	require.NotEmpty(r, kept, "not even what is published was found in files")
}

// hiddenName: a withheld column's name is in no schema and no storage.
func (r *canaryRig) hiddenName() {
	r.Helper()
	var columns uint64
	require.NoError(r, r.ch().QueryRow(r.Context(), "SELECT countIf(positionCaseInsensitive(name || comment, 'canaryhidden') > 0) FROM system.columns").Scan(&columns))
	require.Zero(r, columns)
	subjects := 0
	require.NoError(r, filepath.WalkDir(filepath.Join(filepath.Dir(filepath.Dir(r.stack.ClickHouse.DataDir())), "registry"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NotContains(r, string(content), "canaryhidden", path)
		subjects += strings.Count(string(content), "public.typed")
		return err
	}))
	require.NotZero(r, subjects)
}

// execAll executes statements one by one: some may not be in one transaction.
func (r *canaryRig) execAll(statements string) {
	r.Helper()
	for statement := range strings.SplitSeq(statements, ";") {
		r.exec(statement)
	}
}

// noneInCells reads every cell of every table of the pipeline, bookkeeping included, as text.
func (r *canaryRig) noneInCells() {
	r.Helper()
	var tables []string
	require.NoError(r, r.ch().QueryRow(r.Context(), "SELECT groupArray(concat('`', database, '`.`', name, '`')) FROM system.tables WHERE database IN ($1, $2)", r.name, r.name+"_raw").Scan(&tables))
	require.Greater(r, len(tables), 10)
	var texts []string
	for _, f := range withheld {
		if f.what == string(f.bytes) {
			texts = append(texts, "'"+f.what+"'")
		}
	}
	for _, table := range tables {
		var found uint64
		require.NoError(r, r.ch().QueryRow(r.Context(), "SELECT max(multiSearchFirstIndex(toString(tuple(*)), ["+strings.Join(texts, ", ")+"])) FROM "+table).Scan(&found))
		require.Zero(r, found, "%s leaked into %s", append([]string{""}, texts...)[found], table)
	}
}
