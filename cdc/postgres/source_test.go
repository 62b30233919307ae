package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

func TestSource(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // one of its tests waits for nine seconds
			p := embeddedtest.Postgres(t, version, map[string]string{"max_prepared_transactions": "5"})
			for name, test := range map[string]func(*testing.T, *rig){
				"identify": identify, "slot": slot, "other slots": otherSlots, "publication": publication, "members": members,
				"publication refusals": publicationRefusals, "missing rights": missingRights,
				"changes": changes, "resume and report": resumeAndReport, "held slot": heldSlot, "wakes under load": wakesUnderLoad,
				"skipped transactions": skippedTransactions, "rows": rowsInBinary, "long pause": longPause, "publication dropped": publicationDropped,
				"locked table": lockedTable, "waits": waits, "waits for a prepared one": waitsForPreparedOne, "encoding": encoding, "no slot is left": noSlotLeft, "decided": decided, "hostile settings": hostileSettings,
				"other kinds": otherKinds, "names of sessions": namesOfSessions, "strangers": strangers,
			} {
				t.Run(name, func(t *testing.T) { test(t, newRig(t, p)) })
			}
		})
	}
}

func identify(t *testing.T, r *rig) {
	got, err := r.Identify(t.Context())
	require.NoError(t, err)
	var system, flushed string
	require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT system_identifier::text, pg_current_wal_flush_lsn()::text FROM pg_control_system()").Scan(&system, &flushed))
	require.Equal(t, system, got.System)
	require.Equal(t, r.conn.Config().Database, got.Database)
	require.EqualValues(t, 1, got.Timeline)
	require.Empty(t, got.Switches)
	end, err := cdc.ParseLSN(flushed)
	require.NoError(t, err)
	require.LessOrEqual(t, got.Flushed, end)
	require.NotZero(t, got.Flushed)
}

func slot(t *testing.T, r *rig) {
	_, found, err := r.Slot(t.Context())
	require.NoError(t, err)
	require.False(t, found)
	point, err := r.CreateSlot(t.Context())
	require.NoError(t, err)
	got, found, err := r.Slot(t.Context())
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, cdc.SlotStatus{
		Plugin: "pgoutput", Database: r.conn.Config().Database, ConfirmedFlush: point, Restart: got.Restart, WALStatus: "reserved",
	}, got)
	require.Less(t, got.Restart, got.ConfirmedFlush)
	_, err = r.CreateSlot(t.Context())
	require.Contains(t, cdc.Explain(err).What, "42710", "duplicate_object")
	require.NotErrorIs(t, err, cdc.ErrRefused, "the next session finds it")
}

// namesOfSessions: a role that may not replicate gives its sessions the names of a capture's. They do not count as one.
func namesOfSessions(t *testing.T, r *rig) {
	_, err := r.CreateSlot(t.Context())
	require.NoError(t, err)
	url, slot := r.role(t, "impostor_"+r.conn.Config().Database, ""), r.options.Slot
	var connected bool
	ask := func() bool {
		require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT "+ConnectedSQL+" AND $1::text <> ''", slot, AttendName(slot)).Scan(&connected))
		return connected
	}
	for _, name := range []string{CaptureName, AttendName(slot)} {
		impostor := embeddedtest.Connect(t, url)
		embeddedtest.ExecOn(t, impostor, "SET application_name = '"+name+"'")
	}
	require.Eventually(t, func() bool { return !ask() }, 10*time.Second, 20*time.Millisecond, "the slot's own connection has ended")
}

func otherSlots(t *testing.T, r *rig) {
	name := r.options.Slot
	r.exec(t, fmt.Sprintf("SELECT pg_create_physical_replication_slot('%s')", name))
	got, found, err := r.Slot(t.Context())
	require.NoError(t, err)
	require.True(t, found)
	require.Empty(t, got.Plugin)
	r.exec(t, fmt.Sprintf("SELECT pg_drop_replication_slot('%s')", name), fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'test_decoding', false, true)", name))
	got, _, err = r.Slot(t.Context())
	require.NoError(t, err)
	require.True(t, got.TwoPhase)
	require.Equal(t, "test_decoding", got.Plugin)
}

func publication(t *testing.T, r *rig) {
	found, members, err := r.Published(t.Context(), []*cdc.Table{r.table})
	require.NoError(t, err)
	require.False(t, found)
	require.Empty(t, members)
	r.exec(t, `CREATE TABLE "Odd ""name." (id int PRIMARY KEY)`, "CREATE TABLE child () INHERITS (t)")
	both := []*cdc.Table{r.table, r.describe(t, `Odd "name.`)}
	for range 2 {
		require.NoError(t, r.EnsurePublication(t.Context(), both))
	}
	found, members, err = r.Published(t.Context(), both)
	require.NoError(t, err)
	require.True(t, found)
	require.Len(t, members, 2)
	var published []string
	require.NoError(t, r.conn.QueryRow(t.Context(), "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_publication_tables WHERE pubname = $1", r.options.Publication).Scan(&published))
	require.Equal(t, []string{`Odd "name.`, "t"}, published, "ONLY: not the child")

	r.exec(t, "CREATE TABLE later (id int PRIMARY KEY)")
	all := append(both, r.describe(t, "later"))
	_, members, err = r.Published(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, members, 2)
	require.NotContains(t, members, all[2].OID)
	require.NoError(t, r.EnsurePublication(t.Context(), all))
	_, members, err = r.Published(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, members, 3)

	r.exec(t, "DROP PUBLICATION "+quote(r.options.Publication), "CREATE PUBLICATION "+quote(r.options.Publication)+" FOR ALL TABLES")
	_, members, err = r.Published(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, members, 3)
}

func publicationRefusals(t *testing.T, r *rig) {
	name := quote(r.options.Publication)
	major := serverMajor(r.conn)
	filtered := "DROP TABLE public.t; ALTER PUBLICATION " + name + " ADD TABLE ONLY public.t"
	for _, test := range []struct {
		from     int
		sql, fix string
	}{
		{14, "FOR TABLE t WITH (publish = 'insert')", "SET (publish = 'insert, update, delete, truncate')"},
		{14, "FOR TABLE t WITH (publish_via_partition_root)", "SET (publish_via_partition_root = false)"},
		{15, "FOR TABLE t WHERE (id > 5)", filtered},
		{18, "FOR TABLE t WITH (publish_generated_columns = stored)", "SET (publish_generated_columns = none)"},
	} {
		if major < test.from {
			continue
		}
		r.exec(t, "CREATE PUBLICATION "+name+" "+test.sql)
		refusals := []error{r.EnsurePublication(t.Context(), []*cdc.Table{r.table})}
		if test.fix == filtered { // of this table alone
			require.NotNil(t, cdc.OfOneTable(refusals[0]))
			require.Empty(t, r.membersOf(t, r.table))
		} else {
			refusals = append(refusals, second(r.Published(t.Context(), []*cdc.Table{r.table})))
		}
		for _, err := range refusals {
			require.ErrorIs(t, err, cdc.ErrRefused)
			require.Equal(t, []cdc.Remedy{{Command: "ALTER PUBLICATION " + name + " " + test.fix}}, cdc.Explain(err).Try)
		}
		r.exec(t, cdc.Explain(refusals[0]).Try[0].Command)
		require.NoError(t, r.EnsurePublication(t.Context(), []*cdc.Table{r.table}))
		require.NotEmpty(t, r.membersOf(t, r.table))
		r.exec(t, "DROP PUBLICATION "+name)
	}
}

func second(_ bool, _ map[uint32]cdc.PublishedBy, err error) error { return err }

func missingRights(t *testing.T, r *rig) {
	weak := r.source(r.role(t, "weak", "REPLICATION"))
	err := weak.EnsurePublication(t.Context(), []*cdc.Table{r.table})
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, `CREATE PUBLICATION "the ""pub's"" name" FOR TABLE ONLY "public"."t"`, cdc.Explain(err).Try[0].Command)
	r.exec(t, "CREATE PUBLICATION "+quote(r.options.Publication))
	err = weak.EnsurePublication(t.Context(), []*cdc.Table{r.table})
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{By: "the tables' owner", Command: `ALTER PUBLICATION "the ""pub's"" name" ADD TABLE ONLY "public"."t"`}}, cdc.Explain(err).Try)
	r.exec(t, "CREATE TABLE theirs (id int PRIMARY KEY)", "CREATE ROLE them", "ALTER TABLE theirs OWNER TO them")
	theirs := r.describe(t, "theirs")
	for _, tables := range [][]*cdc.Table{{r.table, theirs}, {theirs}} { // no role owns both, or the publication
		err = weak.EnsurePublication(t.Context(), tables)
		require.ErrorIs(t, err, cdc.ErrRefused)
		require.Equal(t, "a superuser", cdc.Explain(err).Try[0].By)
	}
	r.exec(t, "DROP TABLE theirs", "DROP ROLE them")

	plain := r.source(r.role(t, "plain", ""))
	_, err = plain.Identify(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{By: "a superuser", Command: `ALTER ROLE "plain" REPLICATION`}}, cdc.Explain(err).Try)
	_, err = plain.CreateSlot(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	r.exec(t, "DROP ROLE weak", "DROP ROLE plain")
}

// noSlotLeft: a slot that is not used, once dropped, makes room.
func noSlotLeft(t *testing.T, r *rig) {
	var err error
	for i := 0; err == nil; i++ {
		_, err = r.conn.Exec(t.Context(), fmt.Sprintf("SELECT pg_create_physical_replication_slot('unused_%d')", i))
	}
	_, err = r.CreateSlot(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	_, unused, is := strings.Cut(cdc.Explain(err).Try[1].Command, "drop a slot that is not used: ")
	require.True(t, is)
	var name string
	require.NoError(t, r.conn.QueryRow(t.Context(), unused+" AND slot_name LIKE 'unused%'").Scan(&name))
	r.exec(t, "SELECT pg_drop_replication_slot('"+name+"')")
	_, err = r.CreateSlot(t.Context())
	require.NoError(t, err)
	r.exec(t, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'unused%'")
}

func TestConnectErrors(t *testing.T) {
	p := embeddedtest.Postgres(t, "18", map[string]string{"wal_level": "replica"})
	r := newRig(t, p)
	_, err := r.CreateSlot(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).Try[0].Command, "wal_level = logical")
	config := r.conn.Config()
	for _, test := range []struct {
		url, says string
		refused   bool
	}{
		{fmt.Sprintf("postgres://postgres:hunter2@%s:%d/postgres?sslmode=disable", config.Host, config.Port), "authentication failed", true},
		{fmt.Sprintf("postgres://nobody:hunter2@%s:%d/postgres", config.Host, config.Port), "nobody", true},
		{"postgres://u:hunter2@127.0.0.1:1/x", "127.0.0.1:1", false},
		{"postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/x", "127.0.0.1:1", false},
		{"postgres://u:hunter2@nowhere.invalid/x", "nowhere.invalid", false},
		{"postgres://u:hunt%zzer2@127.0.0.1:1/x", "no Postgres URL", true},
		{"postgres://u:hunter2 @127.0.0.1:port/x", "no Postgres URL", true},
		{"u=x password=hunter2 'host", "no Postgres URL", true},
	} {
		s := r.source(test.url)
		_, identify := s.Identify(t.Context())
		_, _, slot := s.Slot(t.Context())
		for _, err := range []error{identify, slot} {
			require.Contains(t, cdc.Explain(err).What, test.says)
			require.NotContains(t, err.Error(), "hunt")
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, test.refused, errors.Is(err, cdc.ErrRefused), err)
		}
	}
	r.role(t, "clerk", "REPLICATION")
	good := fmt.Sprintf("postgres://clerk:secret-of-clerk@%s:%d/%s?sslmode=disable", config.Host, config.Port, config.Database)
	for bad, way := range map[string]string{ // what is wrong, and that it is good once it is as the way out says
		strings.Replace(good, "secret-of-clerk", "hunter2", 1):       "check user and password in source.url, and pg_hba.conf",
		strings.Replace(good, ":secret-of-clerk", "", 1):             "the variable PGPASSWORD in dirtbike's environment, or ${env:PGPASSWORD} as the password in source.url",
		strings.Replace(good, "secret-of-clerk", "", 1):              "the variable PGPASSWORD in dirtbike's environment, or ${env:PGPASSWORD} as the password in source.url",
		strings.Replace(good, "/"+config.Database+"?", "/none?", 1):  "check the database in source.url",
		good + "&no_such_setting=1":                                  "Postgres 14 to 18, and in source.url no setting that it does not know",
		strings.Replace(good, "sslmode=disable", "sslmode=maybe", 1): "sslmode=verify-full",
	} {
		_, err := r.source(bad).Identify(t.Context())
		require.ErrorIs(t, err, cdc.ErrRefused)
		require.Equal(t, []cdc.Remedy{{Command: way}}, cdc.Explain(err).Try)
	}
	t.Setenv("PGPASSWORD", "secret-of-clerk")
	_, err = r.source(strings.Replace(good, ":secret-of-clerk", "", 1)).Identify(t.Context())
	require.NoError(t, err)
	_, err = r.source(good).Identify(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stop(t.Context()))
	_, err = r.source(good).Identify(t.Context())
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Equal(t, []cdc.Remedy{{Command: "see that Postgres runs and source.url is right"}}, cdc.Explain(err).Try)
	require.NoError(t, p.Start(t.Context()))
	_, err = r.source(good).Identify(t.Context())
	require.NoError(t, err)
}

// TestAttendName: Postgres keeps 63 bytes of it, and slots with long names stay apart.
func TestAttendName(t *testing.T) {
	require.Equal(t, "dirtbike captures by clinic", AttendName("clinic"))
	one, two := AttendName(strings.Repeat("a", 62)+"1"), AttendName(strings.Repeat("a", 62)+"2")
	require.NotEqual(t, one, two)
	require.LessOrEqual(t, len(one), 63)
}
