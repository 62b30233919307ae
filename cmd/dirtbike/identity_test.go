package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplicaIdentity changes the replica identity of captured tables, as the documents advise: with the same key that
// changes nothing, neither while capture runs nor at its next start, whether the topic is compacted or not.
func TestReplicaIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, `
CREATE TABLE plain (a int NOT NULL, b int NOT NULL, n int, v text, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX ba ON plain (b, a);
CREATE TABLE compacted (a int NOT NULL, b int NOT NULL, n int, v text, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX other ON compacted (b, a);
ALTER TABLE plain ALTER v SET STORAGE EXTERNAL; ALTER TABLE compacted ALTER v SET STORAGE EXTERNAL; ALTER TABLE compacted REPLICA IDENTITY FULL;
INSERT INTO plain SELECT i, i, 0, repeat('p', 4000 + i) FROM generate_series(1, 9) i; INSERT INTO compacted SELECT * FROM plain`)
	l := r.start("run")
	r.wait()
	changes := []string{`DEFAULT`, `FULL`, `USING INDEX ba`, `DEFAULT`, `FULL`}
	work := func(table string, i int) {
		index := map[string]string{"plain": "ba", "compacted": "other"}[table]
		for _, identity := range changes {
			if identity == "USING INDEX ba" {
				identity = "USING INDEX " + index
			}
			i++
			r.exec(`ALTER TABLE ` + table + ` REPLICA IDENTITY ` + identity)
			r.exec(`UPDATE ` + table + ` SET n = n + 1`) // v is not sent, but with FULL
			r.exec(`UPDATE `+table+` SET b = b + 10, n = $1 WHERE a % 3 = 0`, i)
			r.exec(`DELETE FROM `+table+` WHERE a = $1`, i)
			r.exec(`INSERT INTO `+table+` VALUES ($1, 1, 2, repeat('x', 5000))`, 100+i)
		}
		// between two rows of one transaction
		r.exec(`BEGIN; UPDATE ` + table + ` SET n = 50 WHERE a = 100; ALTER TABLE ` + table + ` REPLICA IDENTITY DEFAULT; UPDATE ` + table +
			` SET n = 51; ALTER TABLE ` + table + ` REPLICA IDENTITY USING INDEX ` + index + `; DELETE FROM ` + table + ` WHERE a = 101; COMMIT`)
	}
	for round := range 2 {
		work("plain", 10*round)
		work("compacted", 10*round)
		r.wait()
		r.equalAll()
		l = r.again(l)
	}
	r.wait()
	r.equalAll()
	code, out, errs := r.verb("verify")
	require.Zero(t, code, out+errs)
	for _, table := range []string{"plain", "compacted"} {
		var generation uint32
		require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT max(generation) FROM `"+r.name+"_raw`.generations WHERE topic = ?", r.name+".public."+table).Scan(&generation))
		require.EqualValues(t, 1, generation, "%s was copied once\n%s", table, l.output())
	}
	l.stop()
}
