package verify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
	"dirtbike/docker/embedded/embeddedtest"
)

// position reads where the log ends.
func (c *clinic) position() uint64 {
	c.t.Helper()
	var text string
	require.NoError(c.t, c.pg.QueryRow(c.t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&text))
	lsn, err := cdc.ParseLSN(text)
	require.NoError(c.t, err)
	return uint64(lsn)
}

// messages counts the logical messages of that content since the slot was made.
func (c *clinic) messages(content string) int {
	c.t.Helper()
	var n int
	sql := "SELECT count(*) FROM pg_logical_slot_peek_changes($1, NULL, NULL) WHERE data LIKE 'message: transactional: 1 prefix: dirtbike%content:' || $2"
	require.NoError(c.t, c.pg.QueryRow(c.t.Context(), sql, c.database, content).Scan(&n))
	return n
}

// watch makes a slot by which a test sees the messages.
func (c *clinic) watch() {
	c.t.Helper()
	c.source("SELECT pg_create_logical_replication_slot('" + c.database + "', 'test_decoding')")
	c.t.Cleanup(func() {
		_, err := c.pg.Exec(context.Background(), "SELECT pg_drop_replication_slot('"+c.database+"')")
		require.NoError(c.t, err)
	})
}

type outcome struct {
	report Report
	err    error
}

// TestRowsThatChangeMeanwhileAreNoDifference holds complete_up_to back until verify waits for it: it has read the old
// rows. Then one row changes on both sides, one in ClickHouse alone (Postgres is read again later), one is deleted and
// one is made.
func TestRowsThatChangeMeanwhileAreNoDifference(t *testing.T) {
	for _, name := range []string{"integer", "text", "hashed"} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			c.policies = shapes[name].policies
			c.fill("visits", shapes[name])
			c.watch()
			c.source("UPDATE visits SET note = 'late' WHERE note = 'note 1'")
			c.complete("public.visits", 101, 1)

			done := make(chan outcome, 1)
			options := c.options()
			options.ChunkRows = 100
			go func() {
				report, err := Run(t.Context(), options)
				done <- outcome{report, err}
			}()
			require.Eventually(t, func() bool { return c.messages("verify") > 0 }, 20*time.Second, 20*time.Millisecond)

			before := c.position()
			c.source("UPDATE visits SET note = 'meanwhile' WHERE note = 'note 2'")
			c.source("DELETE FROM visits WHERE note = 'note 3'")
			change := "INSERT INTO DB_raw.visits__g2 SELECT * REPLACE (%s AS note, %s AS _version, %d AS _deleted) FROM (SELECT * FROM DB_raw.visits__g2 WHERE note = '%s')"
			c.sink(fmt.Sprintf(change, "'late'", version(before-1, 2), 0, "note 1"))
			c.sink(fmt.Sprintf(change, "'meanwhile'", version(before, 2), 0, "note 2"))
			c.sink(fmt.Sprintf(change, "note", version(before, 3), 1, "note 3"))
			c.complete("public.visits", far, 1)

			got := <-done
			require.NoError(t, got.err)
			require.Zero(t, got.report.Tables[0].DifferingKeys)
			require.True(t, got.report.Equal)
			require.EqualValues(t, 10, got.report.Tables[0].RowsSource)
		})
	}
}

func TestTablesThatAreNotExactAreNotEqual(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	c.fill("claims", shapes["integer"])
	c.source("CREATE TABLE unknown (id int PRIMARY KEY)")
	c.complete("public.claims", far, 0)
	c.sink("INSERT INTO DB_raw.quarantine VALUES ('public.claims', 'load', 'column note: malformed value', 1, 1)")
	report, err := c.verify()
	require.NoError(t, err)
	require.False(t, report.Equal)
	require.Equal(t, []TableReport{
		{Table: "public.claims", Reason: cdc.Failed("column note: malformed value")},
		{Table: "public.unknown", Reason: cdc.Failed("ClickHouse does not know it yet")},
		{Table: "public.visits", RowsSource: 10, RowsSink: 10, Equal: true},
	}, report.Tables)

	c.complete("public.visits", far, 0)
	report, err = c.verify()
	require.ErrorIs(t, err, wait.ErrNothingCompared)
	require.False(t, report.Equal)
	require.Equal(t, cdc.Failed("its first copy has not ended"), report.Tables[2].Reason)

	_, err = c.verify(func(o *Options) { o.Tables = nil })
	require.ErrorIs(t, err, wait.ErrNothingCompared)
	_, err = c.verify(func(o *Options) {
		o.Tables, o.Refused = nil, map[string]*cdc.Problem{"public.x": cdc.Failed("it has no primary key")}
	})
	require.ErrorIs(t, err, wait.ErrNothingCompared)
	require.Equal(t, &cdc.Problem{Kind: wait.ErrNothingCompared, What: "public.x: it has no primary key", Try: []cdc.Remedy{{Command: "dirtbike status"}}}, cdc.Explain(err))
}

func TestAViewThatLacksAColumnIsNotCompared(t *testing.T) {
	c := newClinic(t)
	c.fill("claims", shapes["integer"])
	c.fill("visits", shapes["integer"])
	c.source("ALTER TABLE claims ADD COLUMN more int")
	report, err := c.verify()
	require.NoError(t, err)
	require.False(t, report.Equal)
	require.NotNil(t, report.Tables[0].Reason)
	require.True(t, report.Tables[1].Equal, "the others are compared nevertheless")
}

// TestAViewThatSomebodyReplaced is not compared; put back it is.
func TestAViewThatSomebodyReplaced(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	c.fill("others", shapes["integer"])
	c.sink("RENAME TABLE DB.visits TO DB.away")
	c.sink("CREATE VIEW DB.visits AS SELECT * REPLACE (note || ' of another' AS note) FROM DB.away")
	report, err := c.verify()
	if err == nil {
		err = report.Tables[1].Reason
	}
	require.Error(t, err)
	require.Equal(t, []cdc.Remedy{{Command: "see who has replaced it"}}, cdc.Explain(err).Try)
	c.sink("DROP VIEW DB.visits SYNC")
	c.sink("RENAME TABLE DB.away TO DB.visits")
	report, err = c.verify()
	require.NoError(t, err)
	require.True(t, report.Equal)
}

// TestARowThatChangesAllTheTime cannot be compared in time; when it rests it can.
func TestARowThatChangesAllTheTime(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	busy := embeddedtest.Connect(t, c.url)
	resting, rest := context.WithCancel(t.Context())
	rested := make(chan error, 1)
	go func() {
		var err error
		for err == nil && resting.Err() == nil {
			_, err = busy.Exec(context.WithoutCancel(resting), "UPDATE visits SET fee = fee + 1 WHERE note = 'note 1'")
		}
		rested <- err
	}()
	_, err := c.verify(func(o *Options) { o.Timeout = time.Second })
	rest()
	require.NoError(t, <-rested)
	require.ErrorIs(t, err, wait.ErrBehind)
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike verify when fewer rows change"}}, cdc.Explain(err).Try)
	c.source("UPDATE visits SET fee = 1.5 WHERE note = 'note 1'")
	report, err := c.verify()
	require.NoError(t, err)
	require.True(t, report.Equal)
}

func TestClickHouseThatDoesNotFollow(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	c.complete("public.visits", 101, 1)
	_, err := c.verify(func(o *Options) { o.Timeout = 300 * time.Millisecond })
	require.ErrorIs(t, err, wait.ErrBehind)
	require.Contains(t, cdc.Explain(err).What, "public.visits is complete up to 0/65, not yet up to")
}

func TestServersThatAreAway(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	_, err := c.verify(func(o *Options) { o.Source = "postgres://nobody:secret@127.0.0.1:1/x" })
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.NotContains(t, err.Error(), "secret")
	_, err = c.verify(func(o *Options) { o.Source = "postgres://nobody:secret@%zz" })
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.NotContains(t, err.Error(), "secret")
}

func TestWait(t *testing.T) {
	c := newClinic(t)
	c.watch()
	c.fill("visits", shapes["integer"])
	o := wait.Options{Source: c.url, ClickHouse: c.ch, Database: c.database, Timeout: 2 * time.Second}
	complete := func() error { return wait.Complete(t.Context(), o) }

	require.ErrorIs(t, complete(), wait.ErrBehind, "it is complete up to nothing yet")
	c.complete("", c.position(), 1)
	require.ErrorIs(t, complete(), wait.ErrBehind, "an LSN of before the call is not enough")
	require.Equal(t, 2, c.messages("wait"))
	c.complete("", far, 0)
	require.NoError(t, complete())
	c.complete("public.visits", far, 0)
	require.Contains(t, cdc.Explain(complete()).What, "public.visits")
	c.complete("public.visits", far, 1)
	o.Tables = func(context.Context) ([]string, error) { return []string{"public.visits", "public.claims"}, nil }
	require.Contains(t, cdc.Explain(complete()).What, "public.claims")

	o.Tables, o.Timeout = nil, 20*time.Second
	c.complete("", 1, 1)
	done := make(chan error, 1)
	go func() { done <- complete() }()
	require.Eventually(t, func() bool { return c.messages("wait") == 6 }, 20*time.Second, 20*time.Millisecond)
	c.complete("", c.position(), 1)
	require.NoError(t, <-done)
}

func TestCancelled(t *testing.T) {
	c := newClinic(t)
	c.fill("visits", shapes["integer"])
	c.complete("public.visits", 101, 1)
	c.watch()
	ctx, cancel := context.WithCancel(t.Context())
	options, done := c.options(), make(chan error, 1)
	go func() {
		_, err := Run(ctx, options)
		done <- err
	}()
	require.Eventually(t, func() bool { return c.messages("verify") > 0 }, 20*time.Second, 20*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

func TestReportGoldens(t *testing.T) {
	r := Report{Equal: true, Tables: []TableReport{}}
	r.add(TableReport{Table: "public.claims", RowsSource: 1234567, RowsSink: 1234567, Equal: true}, 1, 0x16B374D848)
	r.add(TableReport{Table: "public.visits", RowsSource: 10, RowsSink: 9, DifferingKeys: 1}, 1, 0x16B374D900)
	r.add(TableReport{Table: "public.notes", Reason: cdc.Failed("its first copy has not ended")}, 0, 0)
	var json, text strings.Builder
	require.NoError(t, r.WriteJSON(&json))
	require.Equal(t, `{
  "equal": false,
  "epoch": 1,
  "lsn": "16/B374D900",
  "tables": [
    {
      "table": "public.claims",
      "rows_source": 1234567,
      "rows_sink": 1234567,
      "equal": true,
      "differing_keys": 0
    },
    {
      "table": "public.visits",
      "rows_source": 10,
      "rows_sink": 9,
      "equal": false,
      "differing_keys": 1
    },
    {
      "table": "public.notes",
      "rows_source": 0,
      "rows_sink": 0,
      "equal": false,
      "differing_keys": 0
    }
  ]
}
`, json.String())
	require.NoError(t, r.WriteText(&text))
	require.Equal(t, `┌───────────────┬──────────────────┬────────────────────┬────────────────┬──────────────┐
│ TABLE         │ ROWS IN POSTGRES │ ROWS IN CLICKHOUSE │ DIFFERING KEYS │ EQUAL        │
├───────────────┼──────────────────┼────────────────────┼────────────────┼──────────────┤
│ public.claims │        1,234,567 │          1,234,567 │              0 │ yes          │
│ public.visits │               10 │                  9 │              1 │ NO           │
│ public.notes  │                - │                  - │              - │ not compared │
└───────────────┴──────────────────┴────────────────────┴────────────────┴──────────────┘
public.notes could not be compared: its first copy has not ended
2 tables, 1,234,577 rows compared: 1 NOT equal; 1 table could not be compared (epoch 1, 16/B374D900)
`, text.String())
	require.Equal(t, cdc.Failed("ClickHouse differs from Postgres in 1 table, and 1 table could not be compared"), r.Err())
	for _, c := range []struct {
		tables   []TableReport
		sentence string
		says     *cdc.Problem
	}{
		{r.Tables[:1], "1 table, 1,234,567 rows equal", nil},
		{r.Tables[:2], "2 tables, 1,234,577 rows compared: 1 NOT equal", cdc.Failed("ClickHouse differs from Postgres in 1 table")},
		{[]TableReport{r.Tables[0], r.Tables[2]}, "1 table, 1,234,567 rows equal; 1 table could not be compared", cdc.Failed("1 table could not be compared").Fix("dirtbike status")},
	} {
		part := Report{Tables: c.tables}
		require.Equal(t, c.sentence, part.sentence())
		if c.says == nil {
			require.NoError(t, part.Err())
			continue
		}
		require.Equal(t, c.says, part.Err())
	}
}
