package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDrift changes tables in ways that send no event: each is quarantined within the polling interval instead of being
// called exact, the unchanged one goes on, and a harmless change (a new label) has no effect.
func TestDrift(t *testing.T) {
	t.Parallel()
	names := []string{"unpublished", "returned", "remade", "renamed_label", "rekeyed", "defaulted", "rewritten", "dropped", "moved"}
	schema := `CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TYPE fine AS ENUM ('ok'); CREATE TABLE untouched (id int PRIMARY KEY, f fine);`
	for _, n := range names {
		schema += fmt.Sprintf(`CREATE TABLE %[1]s (id int PRIMARY KEY, v text, m %[2]s); INSERT INTO %[1]s VALUES (1, 'x');`, n, map[bool]string{true: "mood", false: "text"}[n == "renamed_label"])
	}
	r := newRig(t, rigOptions{}, schema+`ALTER TABLE rekeyed REPLICA IDENTITY FULL`)
	l := r.start("run")
	r.wait()
	r.exec(`ALTER PUBLICATION ` + r.name + ` DROP TABLE unpublished`)
	r.exec(`ALTER PUBLICATION ` + r.name + ` DROP TABLE returned`)
	r.exec(`INSERT INTO returned VALUES (2, 'not sent')`)
	r.exec(`ALTER PUBLICATION ` + r.name + ` ADD TABLE returned`)
	r.exec(`ALTER TABLE rewritten ALTER v TYPE text USING upper(v)`)
	r.exec(`VACUUM FULL untouched`)
	r.exec(`CREATE TABLE n (LIKE remade INCLUDING ALL); DROP TABLE remade; ALTER TABLE n RENAME TO remade`)
	r.exec(`ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'; ALTER TYPE fine ADD VALUE 'finer'`)
	r.exec(`ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey`)
	r.exec(`ALTER TABLE defaulted ADD COLUMN d int DEFAULT 5`)
	r.exec(`DROP TABLE dropped`)
	r.exec(`ALTER TABLE moved RENAME TO moved_on`)
	require.Eventually(t, func() bool {
		_, out, _ := r.verb("status", "--json")
		return strings.Count(out, `"quarantined"`) == len(names)
	}, 30*time.Second, 300*time.Millisecond)
	r.exec(`INSERT INTO untouched VALUES (1, 'ok')`)
	var n uint64
	require.Eventually(t, func() bool {
		return r.ch().QueryRow(t.Context(), "SELECT count() FROM `"+r.name+"`.untouched WHERE id = 1").Scan(&n) == nil && n == 1
	}, 15*time.Second, 200*time.Millisecond)
	var exact []string
	rows, err := r.ch().Query(t.Context(), "SELECT table FROM `"+r.name+"`.complete_up_to WHERE exact")
	require.NoError(t, err)
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		exact = append(exact, name)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"public.untouched"}, exact)
	const restart = "Try: restart capture to copy it"
	r.reaches("public.moved", "quarantined", restart)
	r.reaches("public.moved_on", "new", restart)
	_, _, said := r.verb("wait", "--timeout", "5s")
	require.Contains(t, said, restart, "one answer")
	l.stop()
	code, out, errs := r.verb("resnapshot", "public.returned")
	require.Zero(t, code, out+errs)
	l = r.start("run")
	require.Eventually(t, func() bool {
		code, out, errs = r.verb("verify", "public.moved_on", "public.returned")
		return code == 0
	}, 30*time.Second, 200*time.Millisecond, "%s%s", out, errs)
	l.stop()
}

// TestDriftWhileDown: a table that left the publication and came back while nothing ran is copied again, the other is
// not.
func TestDriftWhileDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, `CREATE TABLE returned (id int PRIMARY KEY); CREATE TABLE untouched (id int PRIMARY KEY); INSERT INTO returned VALUES (1)`)
	l := r.start("run")
	r.wait()
	l.stop()
	r.exec(`ALTER PUBLICATION ` + r.name + ` DROP TABLE returned`)
	r.exec(`INSERT INTO returned VALUES (2)`)
	r.exec(`ALTER PUBLICATION ` + r.name + ` ADD TABLE returned`)
	r.exec(`INSERT INTO returned VALUES (3)`)
	for range 2 { // and only once
		l = r.start("run")
		r.wait()
		l.stop()
	}
	var rows []int32
	require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT groupArray(id) FROM (SELECT id FROM `"+r.name+"`.returned ORDER BY id)").Scan(&rows))
	require.Equal(t, []int32{1, 2, 3}, rows)
	for table, generation := range map[string]uint32{"returned": 2, "untouched": 1} {
		var got uint32
		require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT max(generation) FROM `"+r.name+"_raw`.generations WHERE topic = ?", r.name+".public."+table).Scan(&got))
		require.Equal(t, generation, got, table)
	}
}
