package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/oracle"
)

// publicationMadeAgain: before Postgres 18 the log cannot be read on where there was no publication, also through a new
// one, and capture stops with the choice.
func (r *rig) publicationMadeAgain(compare oracle.Options) {
	r.Helper()
	r.exec(`DROP PUBLICATION ` + r.name + `; INSERT INTO scratch VALUES (4, 'unpublished')`)
	r.exec(`CREATE PUBLICATION ` + r.name + ` FOR ALL TABLES`) // whose schemas, before 15, it could not name
	l := r.start("capture")
	r.ends(l, 30*time.Second)
	require.Equal(r, exitWrong, l.cmd.ProcessState.ExitCode(), l.output())
	require.Contains(r, l.output(), "Try: "+cdc.ResnapshotAllCommand)
	code, _, errs := r.verb("resnapshot", "--all")
	require.Zero(r, code, errs)
	l = r.start("run")
	r.wait()
	r.equal(compare)
	l.stop()
}

// TestPostgresVersions carries every kind of the type table, a killed copy, TRUNCATE, unchanged TOAST and a prepared
// transaction through each supported major version but the default one, which all other tests use.
func TestPostgresVersions(t *testing.T) {
	t.Parallel()
	for _, major := range []string{"14", "15", "16", "17"} {
		t.Run(major, func(t *testing.T) {
			schema := typesSchema + writersSchema
			if major == "14" {
				schema = strings.ReplaceAll(schema, "numeric(5,-2)", "numeric") // negative scales came with 15
			}
			r := newRig(t, rigOptions{postgres: major, tables: `["public.*", "billing.*", "!public.foreign_traffic"]`}, schema)
			compare := oracle.Options{Schemas: []string{"public", "billing"}, Skip: []string{"public.foreign_traffic"}}
			r.exec(`INSERT INTO entries SELECT g, l, 'c', 1 FROM generate_series(1, 8000) g, generate_series(1, 3) l`)
			for _, row := range typesRows {
				r.exec(fmt.Sprintf(row, 1))
			}
			r.killInCopy(1)
			l := r.start("run")
			r.wait()
			r.equal(compare)
			for _, row := range typesRows {
				r.exec(fmt.Sprintf(row, 2))
			}
			r.exec(typesChanges)
			r.exec(`INSERT INTO accounts VALUES (1, 'a', 1, repeat('toast', 1000)), (2, 'b', 2, repeat('toast', 1000)); UPDATE accounts SET balance = 3; UPDATE accounts SET id = 12 WHERE id = 2`)
			r.exec(`INSERT INTO scratch VALUES (1, 'gone'); TRUNCATE scratch, entries; INSERT INTO scratch VALUES (1, 'here')`)
			r.exec(`BEGIN; INSERT INTO scratch VALUES (2, 'prepared'); PREPARE TRANSACTION 'p'`)
			r.exec(`INSERT INTO scratch VALUES (3, 'between')`)
			r.exec(`COMMIT PREPARED 'p'`)
			r.exec(`UPDATE scratch SET v = 'after' WHERE id = 2`)
			r.wait()
			r.equal(compare)
			l.stop()
			if major == "14" || major == "17" {
				r.publicationMadeAgain(compare)
			}
		})
	}
}
