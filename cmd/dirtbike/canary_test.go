package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// canarySchema has private columns of every way out: a key, a TOASTed text, an old row (identity FULL), a column nobody named.
const canarySchema = `
CREATE TABLE people (mrn text PRIMARY KEY, ssn text, name text, zip text, born date, unnamed text, secret_number bigint, amount numeric(6,2));
ALTER TABLE people REPLICA IDENTITY FULL;
CREATE TABLE broken (id int PRIMARY KEY, private text, amount numeric(6,2));`

const canaryPrivacy = `privacy:
  mode: allowlist
  columns:
    public.people: {mrn: hash, ssn: drop, name: mask, zip: zip3, born: year, secret_number: mask, amount: keep}
    public.broken: {id: keep, amount: keep}
`

// TestCanary puts a unique value into every private column, through inserts, updates, key changes, deletes, errors and bad
// input, and then looks for each as bytes in everything dirtbike wrote: topics, ClickHouse's directory, logs, metrics, status.
func TestCanary(t *testing.T) {
	r := newRig(t, rigOptions{privacy: canaryPrivacy}, canarySchema)
	canaries := []string{"CANARYMRN", "CANARYSSN", "CANARYNAME", "CANARYFREE", "987650123456789", "CANARYPRIVATE", "CANARYBAD"}
	insert := func(n int) {
		r.exec(`INSERT INTO people VALUES ($1, $2, $3, '90210', '1931-07-04', $4, 987650123456789, 1)`, fmt.Sprintf("CANARYMRN%d", n), fmt.Sprintf("CANARYSSN%d", n), fmt.Sprintf("CANARYNAME%d", n), "CANARYFREE"+strings.Repeat("f", 4000))
	}
	insert(1)
	insert(2)
	r.exec(`INSERT INTO broken VALUES (1, 'CANARYPRIVATE', 1)`)
	l := r.start("run")
	r.wait()
	insert(3)
	r.exec(`UPDATE people SET name = 'CANARYNAME9', amount = 2 WHERE mrn = 'CANARYMRN1'; UPDATE people SET mrn = 'CANARYMRN8' WHERE mrn = 'CANARYMRN2'; DELETE FROM people WHERE mrn = 'CANARYMRN3'`)
	r.wait()
	// a relation that changes is a quarantine whose reason must not hold a value
	r.exec(`ALTER TABLE broken ALTER amount TYPE text USING 'CANARYBAD'; INSERT INTO broken VALUES (2, 'CANARYPRIVATE', 'CANARYBAD')`)
	require.Eventually(t, func() bool { code, _, _ := r.verb("status"); return code == exitNo }, 20*time.Second, 200*time.Millisecond)
	_, status, _ := r.verb("status", "--json")
	_, verify, verifyErrs := r.verb("verify", "--json")
	endpoints := ""
	for _, path := range []string{"/metrics", "/status", "/readyz?verbose"} {
		endpoints += r.get("http://" + r.listens("run") + path)
	}
	require.Contains(t, endpoints, "dirtbike_capture_records_total")
	l.stop()
	r.requireNone(canaries, map[string][]byte{"endpoints": []byte(endpoints), "status": []byte(status), "verify": []byte(verify + verifyErrs), "logs": []byte(l.output()), "topics": r.topicBytes()})
	r.requireNoneInFiles(canaries, r.stack.ClickHouse.DataDir(), r.stack.ClickHouse.LogDir(), r.dir)
}

// get reads a page of the running legs, whatever its status.
func (r *rig) get(url string) string {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	require.NoError(r, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return string(body)
}

func (r *rig) requireNone(canaries []string, places map[string][]byte) {
	r.Helper()
	require.Greater(r, len(places["topics"]), 1000, "nothing was searched")
	for place, content := range places {
		for _, c := range canaries {
			require.False(r, bytes.Contains(content, []byte(c)), "%s leaked into %s", c, place)
		}
	}
}

// topicBytes are all keys, values and headers of all topics of the pipeline, its own included.
func (r *rig) topicBytes() []byte {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...), kgo.ConsumeRegex(), kgo.ConsumeTopics(`.*`+r.name+`\..*`), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(r, err)
	defer client.Close()
	var out []byte
	for quiet := 0; quiet < 3; {
		ctx, cancel := contextFor(r, time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		before := len(out)
		fetches.EachRecord(func(k *kgo.Record) {
			out = append(append(append(out, k.Topic...), k.Key...), k.Value...)
			for _, h := range k.Headers {
				out = append(append(out, h.Key...), h.Value...)
			}
		})
		if len(out) == before {
			quiet++
		}
	}
	return out
}

// requireNoneInFiles searches files as bytes. ClickHouse compresses its columns, so what is searched there is what stands
// uncompressed (names, logs, marks) besides the cells themselves, which are searched by SQL.
func (r *rig) requireNoneInFiles(canaries []string, dirs ...string) {
	r.Helper()
	files := 0
	for _, dir := range dirs {
		require.NoError(r, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // ClickHouse merges parts away while we look
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			files++
			for _, c := range canaries {
				require.False(r, bytes.Contains(content, []byte(c)), "%s leaked into %s", c, path)
			}
			return nil
		}))
	}
	require.NotZero(r, files)
	r.requireNoneInCells(canaries)
}

// requireNoneInCells reads every cell of every table of the pipeline, bookkeeping included.
func (r *rig) requireNoneInCells(canaries []string) {
	r.Helper()
	rows, err := r.ch().Query(r.Context(), `SELECT database, name FROM system.tables WHERE database IN ($1, $2)`, r.name, r.name+"_raw")
	require.NoError(r, err)
	var tables []string
	for rows.Next() {
		var database, name string
		require.NoError(r, rows.Scan(&database, &name))
		tables = append(tables, "`"+database+"`.`"+name+"`")
	}
	require.NoError(r, rows.Err())
	require.NotEmpty(r, tables)
	for _, table := range tables {
		for _, c := range canaries {
			var n uint64
			require.NoError(r, r.ch().QueryRow(r.Context(), "SELECT count() FROM "+table+" WHERE toString(tuple(*)) LIKE '%"+c+"%'").Scan(&n))
			require.Zero(r, n, "%s leaked into %s", c, table)
		}
	}
}
