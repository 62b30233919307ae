package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

const readersSchema = `
CREATE TABLE visits (id bigint, day date, note text, PRIMARY KEY (id, day));
CREATE TABLE full_visits (id bigint, day date, note text, amount numeric(10,2), PRIMARY KEY (id, day));
ALTER TABLE full_visits REPLICA IDENTITY FULL;
CREATE TABLE log (id bigint PRIMARY KEY, note text);
CREATE TABLE wiped (id bigint PRIMARY KEY, note text);
CREATE TABLE sparse (id bigint PRIMARY KEY, note text);
CREATE TABLE swept (id bigint PRIMARY KEY, note text);
CREATE TABLE docs (id bigint PRIMARY KEY, note text, body text);
ALTER TABLE docs ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO docs SELECT g, 'copied', repeat('x', 4000) || g FROM generate_series(1, 5) g;
INSERT INTO visits SELECT g, date '2024-01-01' + g, 'copied' FROM generate_series(1, 8) g;
INSERT INTO full_visits SELECT id, day, note, id + 0.5 FROM visits;
INSERT INTO log SELECT id, note FROM visits;
INSERT INTO wiped SELECT id, note FROM visits;
INSERT INTO sparse SELECT id, note FROM visits;
INSERT INTO swept SELECT id, note FROM visits;`

// readersChanges delete 3 rows of each table (the former key of a changed one counts).
var readersChanges = []string{
	`DELETE FROM TABLE WHERE id = 1`,
	`DELETE FROM TABLE WHERE id = 2`,
	`INSERT INTO TABLE (id, day, note) VALUES (2, '2024-01-03', 'again'), (20, '1969-12-31', NULL)`,
	`UPDATE TABLE SET note = 'updated' WHERE id IN (3, 20)`,
	`UPDATE TABLE SET id = 40, note = 'moved' WHERE id = 4`,
}

// TestReaders gives the topics of a pipeline to the readers of other projects: Debezium's unwrapping for Kafka Connect,
// in all its modes, and Flink's debezium-avro-confluent. Each must arrive at the rows of Postgres.
func TestReaders(t *testing.T) {
	t.Parallel()
	jars := readerJars(t)
	r := newRig(t, rigOptions{}, readersSchema)
	l := r.start("run")
	r.wait()
	for _, table := range []string{"visits", "full_visits"} {
		for _, change := range readersChanges {
			r.exec(strings.ReplaceAll(change, "TABLE", table))
		}
	}
	r.exec(`DELETE FROM log WHERE id IN (1, 2, 3); INSERT INTO log VALUES (1, 'again')`)
	r.exec(`UPDATE docs SET note = 'updated' WHERE id = 2; DELETE FROM docs WHERE id IN (3, 4); UPDATE docs SET id = 10 WHERE id = 1`)
	r.exec(`TRUNCATE wiped; INSERT INTO wiped VALUES (1, 'after the truncate'), (9, 'after the truncate')`)
	r.wait()
	l.stop()
	code, _, errs := r.verb("resnapshot", "public.wiped")
	require.Zero(t, code, errs)
	r.extra.kafkaYAML = ", tombstones: compacted"
	r.writeConfig()
	l = r.start("run")
	r.wait()
	r.exec(`INSERT INTO wiped VALUES (10, 'after the second copy')`)
	r.exec(`DELETE FROM sparse WHERE id IN (1, 2, 3); INSERT INTO sparse VALUES (1, 'again')`)
	r.exec(`TRUNCATE swept; INSERT INTO swept VALUES (9, 'after the truncate'), (10, 'after the truncate')`)
	r.wait()
	l.stop()
	topic := func(table string) string { return r.name + ".public." + table }
	read := readTopics(t, jars, strings.Join(r.stack.Kafka.Brokers(), ","), r.stack.Registry.URL(), topic("visits"),
		topic("full_visits")+"=id:BIGINT,day:DATE,note:STRING,amount:DECIMAL(10,2)", topic("log")+"=id:BIGINT,note:STRING", topic("wiped")+"=id:BIGINT,note:STRING",
		topic("docs"), topic("sparse")+"=id:BIGINT,note:STRING", topic("swept")+"=id:BIGINT,note:STRING")
	for _, table := range []string{"visits", "full_visits", "log"} {
		t.Run(table, func(t *testing.T) {
			read.unwrapped(t, topic(table), table == "full_visits", true, r.texts(table))
		})
	}
	t.Run("no tombstones", func(t *testing.T) { read.unwrapped(t, topic("sparse"), false, false, r.texts("sparse")) })
	t.Run("large values", func(t *testing.T) { // what an update leaves alone is null, what a changed key carries along is not
		rows := r.texts("(SELECT id, note, CASE WHEN id != 2 THEN body END AS body FROM docs)")
		read.unwrapped(t, topic("docs"), false, true, rows)
	})
	t.Run("truncate and second copy", func(t *testing.T) { read.wiped(t, topic("wiped"), r.texts("wiped")) })
	t.Run("truncate without tombstones", func(t *testing.T) { read.wiped(t, topic("swept"), r.texts("swept")) })
	t.Run("flink", func(t *testing.T) {
		require.Equal(t, r.texts("full_visits"), read.changelog(t, topic("full_visits"), true))
		for _, table := range []string{"log", "sparse"} {
			require.Equal(t, r.texts(table), read.changelog(t, topic(table), false))
		}
	})
}

// fields are a row's columns as texts.
type fields map[string]*string

// texts are the rows of a table, each as a line of JSON.
func (r *rig) texts(table string) []string {
	r.Helper()
	rows, err := r.pg().Query(r.Context(), `SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(t))) FROM `+table+` t`)
	require.NoError(r, err)
	var all []fields
	for rows.Next() {
		var row fields
		require.NoError(r, rows.Scan(&row))
		all = append(all, row)
	}
	require.NoError(r, rows.Err())
	return sortedRows(all)
}

func sortedRows(rows []fields) []string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		line, _ := json.Marshal(row) // texts
		lines[i] = string(line)
	}
	slices.Sort(lines)
	return lines
}

// reading is one line of a reader.
type reading struct {
	Reader, Topic, Kind string
	Key                 map[string]string
	Value               fields
}

func (r reading) key() string { return fmt.Sprint(r.Key) }

type readings []reading

// of gives what a reader made of a topic.
func (r readings) of(reader, topic string) (of readings) {
	for _, line := range r {
		if line.Reader == reader && line.Topic == topic {
			of = append(of, line)
		}
	}
	return of
}

// unwrapped checks what each mode of Debezium's unwrapping makes of a topic whose table lost 3 rows and has want now.
// Only one mode passes on the topic's own tombstones, which always says that there are; the others make or mark deletes
// themselves.
func (r readings) unwrapped(t *testing.T, topic string, full, always bool, want []string) {
	tombstones := map[string]int{"tombstone": 3, "delete-to-tombstone": 3}
	if always {
		tombstones["rewrite-with-tombstone"] = 3
	}
	deleted := map[string]int{"rewrite": 3, "rewrite-with-tombstone": 3}
	var kept []string
	for _, mode := range []string{"tombstone", "delete-to-tombstone", "rewrite", "rewrite-with-tombstone", "drop"} {
		lines := r.of(mode, topic)
		require.NotEmpty(t, lines, mode)
		state, ever, nulls, marked := map[string]fields{}, map[string]fields{}, 0, 0
		for _, line := range lines {
			switch {
			case line.Value == nil:
				delete(state, line.key())
				nulls++
			case line.Value["__deleted"] != nil && *line.Value["__deleted"] == "true":
				line.keyOnly(t, full)
				delete(state, line.key())
				marked++
			default:
				row := line.row()
				state[line.key()], ever[line.key()] = row, row
			}
		}
		require.Equal(t, tombstones[mode], nulls, mode)
		require.Equal(t, deleted[mode], marked, mode)
		if mode == "drop" { // it is for those who keep every row
			require.Equal(t, kept, sortedRows(slices.Collect(maps.Values(ever))))
			continue
		}
		kept = sortedRows(slices.Collect(maps.Values(ever)))
		require.Equal(t, want, sortedRows(slices.Collect(maps.Values(state))), mode)
	}
}

// wiped checks that a truncate and another copy stop no reader, and that rows after them arrive: want, and what the
// truncate took away, of which only the control topic says so.
func (r readings) wiped(t *testing.T, topic string, want []string) {
	for _, reader := range []string{"flink", "drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"} {
		state := map[string]fields{}
		for _, line := range r.of(reader, topic) {
			state[line.key()] = line.row()
			if reader != "flink" {
				require.Contains(t, []string{"c", "u", "d", "r"}, *line.Value["__op"], reader)
			}
		}
		require.Subset(t, sortedRows(slices.Collect(maps.Values(state))), want, reader)
		require.Len(t, state, 10, reader)
	}
}

// row is the value without what the unwrapping adds.
func (r reading) row() fields {
	row := maps.Clone(r.Value)
	maps.DeleteFunc(row, func(name string, _ *string) bool { return strings.HasPrefix(name, "__") })
	return row
}

// keyOnly checks a deleted row: it has its key's values, in the forms of the columns, and others only if it is full.
func (r reading) keyOnly(t *testing.T, full bool) {
	for name, value := range r.row() {
		key, isKey := r.Key[name]
		if isKey && name == "day" {
			days, err := strconv.Atoi(key)
			require.NoError(t, err)
			key = time.Date(2000, 1, 1+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		}
		switch {
		case isKey:
			require.NotNil(t, value, name)
			require.Equal(t, key, *value, name)
		case name == "note":
			require.Equal(t, full, value != nil)
		}
	}
}

// changelog applies what Flink made of a topic. With retracts it takes back whole rows, which must be those that it
// has.
func (r readings) changelog(t *testing.T, topic string, retracts bool) []string {
	state := map[string]fields{}
	for _, line := range r.of("flink", topic) {
		switch line.Kind {
		case "+I", "+U":
			require.NotContains(t, state, line.key())
			state[line.key()] = line.Value
		case "-U", "-D":
			require.Contains(t, state, line.key())
			if retracts {
				require.Equal(t, state[line.key()], line.Value)
			}
			delete(state, line.key())
		default:
			require.Fail(t, "unknown kind of a row", line.Kind)
		}
	}
	return sortedRows(slices.Collect(maps.Values(state)))
}

// readTopics runs the readers over topics.
func readTopics(t *testing.T, jars string, args ...string) (lines readings) {
	t.Helper()
	classes, classpath := t.TempDir(), filepath.Join(jars, "*")
	source := filepath.Join("testdata", "readers", "Readers.java")
	out, err := exec.CommandContext(t.Context(), embeddedtest.Tool(t, "javac"), "-d", classes, "-cp", classpath, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	jvm := []string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-cp", classes + string(os.PathListSeparator) + classpath, "Readers",
	}
	cmd := exec.CommandContext(t.Context(), embeddedtest.Tool(t, "java"), append(jvm, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err = cmd.Output()
	require.NoError(t, err, "%s", tail(stderr.String(), 4000))
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		var line reading
		require.NoError(t, json.Unmarshal(scan.Bytes(), &line), scan.Text())
		lines = append(lines, line)
	}
	return lines
}

// readerJars gives the folder of what testdata/readers/pom.xml names, which Maven brings once.
func readerJars(t *testing.T) string {
	t.Helper()
	embeddedtest.Tools(t, "java", "javac", "mvn")
	pom, err := os.ReadFile(filepath.Join("testdata", "readers", "pom.xml"))
	require.NoError(t, err)
	base, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(base, "dirtbike-ci", fmt.Sprintf("readers-%.6x", sha256.Sum256(pom)))
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o750))
	lock := flock.New(dir + ".lock")
	require.NoError(t, lock.Lock())
	defer lock.Unlock() //nolint:errcheck // the process's end does it, too
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	part := dir + ".part"
	require.NoError(t, os.RemoveAll(part))
	out, err := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-C", "-f", filepath.Join("testdata", "readers", "pom.xml"),
		"dependency:copy-dependencies", "-DoutputDirectory="+part).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Rename(part, dir))
	return dir
}
