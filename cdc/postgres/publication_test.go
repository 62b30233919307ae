package postgres

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

// members: what publishes a table shares something with what did before exactly if the table was published all the
// time.
func members(t *testing.T, r *rig) {
	r.options.Publication = "pub"
	const again = "DROP PUBLICATION pub; CREATE PUBLICATION pub "
	for _, test := range []struct {
		from               int // the first version of Postgres that can
		table, made, later string
		now                int // members after it
		stayed             bool
	}{
		{14, "t", "FOR TABLE t", "SELECT 1", 1, true},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub ADD TABLE other", 1, true},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub SET TABLE t, other", 1, true},
		{14, "t", "FOR TABLE t, other", "ALTER PUBLICATION pub SET TABLE t", 1, true},
		{14, "t", "FOR TABLE t, other", "ALTER PUBLICATION pub SET TABLE other", 0, false},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub DROP TABLE t", 0, false},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub DROP TABLE t; ALTER PUBLICATION pub ADD TABLE t", 1, false},
		{14, "t", "FOR TABLE t", "BEGIN; ALTER PUBLICATION pub DROP TABLE t; ALTER PUBLICATION pub ADD TABLE t; COMMIT", 1, false},
		{14, "t", "FOR TABLE t", again + "FOR TABLE t", 1, false},
		{14, "t", "FOR ALL TABLES", "CREATE TABLE more (id int)", 1, true},
		{14, "t", "FOR ALL TABLES", again + "FOR ALL TABLES", 1, false},
		{14, "t", "FOR ALL TABLES", again + "FOR TABLE t", 1, false},
		{14, "t", "FOR TABLE t", "ALTER TABLE t ADD w int; VACUUM FULL pg_publication_rel; VACUUM FULL pg_publication; VACUUM FREEZE pg_publication", 1, true},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub SET (publish = 'insert'); ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate')", 1, false},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub OWNER TO publisher", 1, true},
		{14, "t", "FOR ALL TABLES", "ALTER PUBLICATION pub OWNER TO publisher", 1, true},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub OWNER TO publisher; ALTER PUBLICATION pub DROP TABLE t; ALTER PUBLICATION pub ADD TABLE t", 1, false},
		{14, "t", "FOR TABLE t", "ALTER PUBLICATION pub OWNER TO publisher; ALTER PUBLICATION pub SET (publish = 'insert'); " +
			"ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate')", 1, false},
		{15, "t", "FOR TABLE t", "ALTER PUBLICATION pub SET TABLE t WHERE (id > 5)", 0, false},
		{15, "t", "FOR TABLE t, other", "ALTER PUBLICATION pub SET TABLE t, other (id)", 1, true},
		{15, "t", "FOR TABLE t", "ALTER PUBLICATION pub SET TABLE t WHERE (id > 5); ALTER PUBLICATION pub SET TABLE t", 1, false},
		{15, "t", "FOR TABLES IN SCHEMA public", "SELECT 1", 1, true},
		{15, "t", "FOR TABLES IN SCHEMA public", "ALTER PUBLICATION pub ADD TABLES IN SCHEMA far", 1, true},
		{15, "t", "FOR TABLES IN SCHEMA public", "ALTER PUBLICATION pub ADD TABLE t", 2, true},
		{15, "t", "FOR TABLES IN SCHEMA public, TABLE t", "ALTER PUBLICATION pub DROP TABLE t", 1, true},
		{15, "t", "FOR TABLES IN SCHEMA public, TABLE t", "ALTER PUBLICATION pub DROP TABLES IN SCHEMA public", 1, true},
		{15, "t", "FOR TABLE t", "ALTER PUBLICATION pub SET TABLES IN SCHEMA public", 1, false},
		{15, "t", "FOR TABLES IN SCHEMA public", "ALTER PUBLICATION pub SET TABLES IN SCHEMA far", 0, false},
		{15, "t", "FOR TABLES IN SCHEMA public", "ALTER PUBLICATION pub DROP TABLES IN SCHEMA public; ALTER PUBLICATION pub ADD TABLES IN SCHEMA public", 1, false},
		{15, "t", "FOR TABLES IN SCHEMA public", "ALTER TABLE t SET SCHEMA far; ALTER TABLE far.t SET SCHEMA public", 1, false},
		{14, "leaf", "FOR TABLE parent", "INSERT INTO parent VALUES (1)", 1, true},
		{14, "leaf", "FOR TABLE parent", "ALTER TABLE parent DETACH PARTITION leaf", 0, false},
		{14, "leaf", "FOR TABLE parent", "ALTER TABLE parent DETACH PARTITION leaf; ALTER TABLE parent ATTACH PARTITION leaf DEFAULT", 1, false},
		{14, "leaf", "FOR TABLE parent, leaf", "ALTER TABLE parent DETACH PARTITION leaf", 1, true},
	} {
		t.Run(test.made+"/"+test.later, func(t *testing.T) {
			if serverMajor(r.conn) < test.from {
				return
			}
			r.exec(t, "DROP TABLE IF EXISTS t, other, more, parent, leaf; DROP SCHEMA IF EXISTS far; DROP PUBLICATION IF EXISTS pub",
				"DROP ROLE IF EXISTS publisher", "CREATE ROLE publisher SUPERUSER",
				"CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); CREATE SCHEMA far",
				"CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF parent DEFAULT",
				"CREATE PUBLICATION pub "+test.made)
			table := r.describe(t, test.table)
			was := r.membersOf(t, table)
			require.NotEmpty(t, was)
			r.exec(t, statements(test.later)...)
			now := r.membersOf(t, table)
			require.Len(t, now, test.now, "%s → %s", was, now)
			require.Equal(t, test.stayed, was.SharesWith(now), "%s → %s", was, now)
		})
	}
}

func (r *rig) membersOf(t *testing.T, table *cdc.Table) cdc.PublishedBy {
	t.Helper()
	found, members, err := r.Published(t.Context(), []*cdc.Table{table})
	require.NoError(t, err)
	require.True(t, found)
	return members[table.OID]
}

// statements splits a script, because VACUUM must be a statement of its own; a transaction is one.
func statements(sql string) []string {
	if strings.HasPrefix(sql, "BEGIN") {
		return []string{sql}
	}
	return strings.Split(sql, "; ")
}

// lockedTable: reading what is published does not wait for locks on tables.
func lockedTable(t *testing.T, r *rig) {
	r.options.Publication = "locked"
	r.exec(t, "CREATE PUBLICATION locked FOR TABLE t")
	holder := embeddedtest.Connect(t, r.url)
	_, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	found, members, err := r.Published(ctx, []*cdc.Table{r.table})
	require.NoError(t, err)
	require.True(t, found)
	require.Len(t, members[r.table.OID], 1)
}

// encoding: a database whose texts are bytes of unknown meaning is refused.
func encoding(t *testing.T, r *rig) {
	r.exec(t, "DROP DATABASE IF EXISTS ascii", "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
	at, err := url.Parse(r.url)
	require.NoError(t, err)
	at.Path = "/ascii"
	_, err = r.source(at.String()).Identify(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).What, "SQL_ASCII")
	encoded, is := strings.CutPrefix(cdc.Explain(err).Try[0].Command, "a database with ")
	require.True(t, is)
	r.exec(t, "DROP DATABASE ascii", "CREATE DATABASE ascii "+encoded+" TEMPLATE template0 LOCALE 'C'")
	_, err = r.source(at.String()).Identify(t.Context())
	require.NoError(t, err)
}
