package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/inventory"
	"dirtbike/cmd/internal/preflight"
	"dirtbike/docker/oracle"
)

// wiretap keeps what the server sends on all connections to it.
type wiretap struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

// tap puts a wiretap between the legs and Postgres.
func (r *rig) tap() *wiretap {
	r.Helper()
	w := &wiretap{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	r.T.Cleanup(func() { _ = listener.Close() })
	to := hostOf(r.T, r.url)
	r.replaceInConfig(to, listener.Addr().String())
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.serve(client, to)
		}
	}()
	return w
}

func (w *wiretap) serve(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_ = forward(server, client, func(int) bool { return false })
	}()
	_ = forward(client, tapped{server, w}, func(int) bool { return false })
}

// tapped is a connection whose answers are kept.
type tapped struct {
	net.Conn
	to *wiretap
}

func (t tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.to.mu.Lock()
	defer t.to.mu.Unlock()
	t.to.seen.Write(b[:n])
	return n, err
}

func (w *wiretap) saw(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.seen.Bytes(), []byte(text))
}

// TestKeptInPostgres: with rights to the named columns only, and the column list that check prints, withheld values do
// not even reach capture: not in the copy, not in the stream, not when rows are read again or compared.
func TestKeptInPostgres(t *testing.T) {
	const privacy = "privacy: {columns: {public.people: {id: keep, name: hash, note: keep}, public.whole: {id: keep, v: keep}}, hash: {keys: {k1: tq7Vx2Lm9ZrB4wKp}}}"
	r := newRig(t, rigOptions{privacy: privacy}, `CREATE TABLE people (id int PRIMARY KEY, ssn text, name text, note text, born date);
		CREATE TABLE whole (id int PRIMARY KEY, v text); INSERT INTO whole VALUES (1, 'x');
		INSERT INTO people VALUES (1, 'KEPTSSN1', 'Ada', repeat('n', 3000), '1990-01-01')`)
	role := r.name + "_role"
	r.exec("CREATE ROLE " + role + " LOGIN REPLICATION PASSWORD 'secret'; GRANT SELECT ON whole TO " + role + "; CREATE PUBLICATION " + r.name + " FOR TABLE ONLY people, ONLY whole")
	r.T.Cleanup(func() {
		if conn, err := pgx.Connect(context.Background(), r.url); err == nil {
			defer conn.Close(context.Background()) // the test is over
			_, _ = conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		}
	})
	user := regexp.MustCompile(`//([^@]*)@`).FindStringSubmatch(r.url)[1]
	r.replaceInConfig(user+"@"+hostOf(t, r.url), role+":secret@"+hostOf(t, r.url))
	report := r.checks(exitNo)
	require.Equal(t, "GRANT SELECT (id, name, note) ON TABLE public.people TO "+role+";", commandOf(report, "postgres-select"), "the least that is needed")
	r.exec(commandOf(report, "postgres-select"))
	r.inventoried("ssn", "withheld in capture")
	advice := commandOf(r.checks(exitGood), "postgres-withheld")
	require.Contains(t, advice, "ADD TABLE ONLY public.people (id, name, note);")
	r.exec(advice)
	require.Empty(t, commandOf(r.checks(exitGood), "postgres-withheld"))
	r.inventoried("ssn", "withheld in Postgres")
	for _, refused := range []string{"ALTER TABLE people DROP COLUMN note", "ALTER TABLE people ALTER note TYPE varchar", "BEGIN; ALTER TABLE people REPLICA IDENTITY FULL; UPDATE people SET id = 1; COMMIT"} {
		_, err := r.pg().Exec(t.Context(), refused)
		require.Error(t, err, "%s: why no start gives a publication column lists by itself", refused)
	}

	wire := r.tap()
	r.start("run")
	r.wait()
	r.exec(`INSERT INTO people VALUES (2, 'KEPTSSN2', 'Ben', repeat('m', 3000), '1991-01-01'), (3, 'KEPTSSN3', NULL, NULL, NULL);
		UPDATE people SET ssn = 'KEPTSSN4', born = '1992-02-02' WHERE id = 1; UPDATE people SET id = 5 WHERE id = 2; DELETE FROM people WHERE id = 3;
		ALTER TABLE people ADD later text; UPDATE people SET later = 'KEPTLATER', name = 'Cy' WHERE id = 5`)
	r.wait()
	code, out, errs := r.verb("verify")
	require.Equal(t, exitGood, code, out+errs)
	for _, text := range []string{"KEPTSSN", "KEPTLATER"} {
		require.False(t, wire.saw(text), text)
	}
	require.True(t, wire.saw("Cy"), "the tap sees what is sent")
	r.equal(oracle.Options{Skip: []string{"public.people"}})
}

// commandOf is the command of a check.
func commandOf(report preflight.Report, slug string) string {
	for _, c := range report.Checks {
		if c.Slug == slug {
			return c.Command
		}
	}
	return ""
}

// inventoried requires what the inventory says of a column of people.
func (r *rig) inventoried(column, effect string) {
	r.Helper()
	code, out, errs := r.verb("inventory")
	require.Equal(r, exitGood, code, errs)
	require.Regexp(r, column+`[^\n]*`+regexp.QuoteMeta(effect), out)
	_, out, _ = r.verb("inventory", "--json")
	var i inventory.Inventory
	require.NoError(r, json.NewDecoder(strings.NewReader(out)).Decode(&i))
	for _, c := range i.Tables[0].Columns {
		require.Equal(r, c.Column != "ssn" && c.Column != "born", c.Leaves, c.Column)
	}
}
