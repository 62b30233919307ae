package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// Sources are what a status is gathered from. All of it is read, nothing changed.
type Sources struct {
	// Postgres is the source's primary.
	Postgres postgres.Querier
	// Slot and Publication by their names.
	Slot, Publication string
	// Match reports whether source.tables names a table; nil leaves tables out that are not captured yet.
	Match func(schema, table string) bool
	// ClickHouse has the views in Database and dirtbike's own tables in "<Database>_raw".
	ClickHouse driver.Conn
	Database   string
	// Kafka asks a broker for anything; nil leaves out whether one answers. An error that is cdc.ErrRefused says what
	// to do.
	Kafka func(ctx context.Context) error
	// Capture gives the status of a capture in this process; nil if there is none. Then everything comes from both
	// servers.
	Capture func() capture.Status
	// WALDisk is how much log Postgres' disk can hold, in bytes; 0 if nobody has said.
	WALDisk int64
	// Obstacles says what keeps capture from tables that source.tables names, by "schema.table", and what fixes it; it
	// is asked while there are tables that are not captured. Nil leaves only that they are not.
	Obstacles func(ctx context.Context) (map[string]*cdc.Problem, error)
	// Open says that columns which no rule names are published.
	Open bool
}

// Collector gathers the status. It is safe for concurrent use and keeps what it reads for a quarter of a second, the
// row counts of views for ten.
type Collector struct {
	Sources
	mu       sync.Mutex
	facts    facts
	err      error
	at       time.Time
	counted  map[string]counts // by view
	countsAt time.Time

	slot struct {
		sync.Mutex
		growth growth // of all reads of this process
	}
	obstacles struct {
		sync.Mutex
		found map[string]*cdc.Problem
		known bool
		at    time.Time
	}
}

// counts is what was counted in a view.
type counts struct {
	rows int64
	// inexact has, by column, the values whose exact text is in `_inexact` (rule 31); nil is none.
	inexact map[string]int64
}

// NewCollector makes a collector; it asks nobody yet.
func NewCollector(s Sources) *Collector { return &Collector{Sources: s} }

const (
	// factsCache is for how long an answer is used again: people watch a copy through it.
	factsCache = 250 * time.Millisecond
	// countsCache is for how long row counts of views are used again: a count reads every key of the table.
	countsCache = 10 * time.Second
	// obstaclesCache is for how long what keeps tables out is used again: asking reads the whole catalog.
	obstaclesCache = 10 * time.Second
)

// facts is what both servers said.
type facts struct {
	slot     slotFacts
	named    []Named                    // by source.tables, captured or not
	complete map[string]ledger.Complete // by table, "" for everything
	reasons  map[string][]*cdc.Problem  // of quarantined tables
	excluded map[string][]*cdc.Problem  // why capture no longer follows a table
	counted  map[string]counts          // what a view shows, by view; a table is shown once it has a view
	stored   map[string]ledger.Storage  // what the newest generation has, by view
}

// ours picks the views of captured tables: people may have views of their own beside them.
func (f *facts) ours(views map[string]bool) (ours []string) {
	for _, tables := range []iter.Seq[string]{maps.Keys(f.complete), maps.Keys(f.excluded)} {
		for table := range tables {
			for _, view := range viewNames(table) {
				if _, is := views[view]; is && !slices.Contains(ours, view) {
					ours = append(ours, view)
				}
			}
		}
	}
	return ours
}

// count gives a table's rows and whether it has a view: what the view shows, or else what has been copied so far.
func (f *facts) count(table string) (n counts, shown bool) {
	for _, view := range viewNames(table) {
		if n, is := f.counted[view]; is {
			return n, true
		}
		n.rows = max(n.rows, f.stored[view].Rows)
	}
	return n, false
}

// parts gives the number of parts of the table's storage.
func (f *facts) parts(table string) (n int64) {
	for _, view := range viewNames(table) {
		n = max(n, f.stored[view].Parts)
	}
	return n
}

// Status gathers the status. Its error says which part could not be asked.
func (c *Collector) Status(ctx context.Context) (Status, error) {
	f, err := c.read(ctx)
	if err != nil {
		return Status{}, err
	}
	return c.explained(ctx, c.status(f)), nil
}

// status is what Status gives, without the reasons of new tables.
func (c *Collector) status(f facts) Status {
	var capture capture.Status
	if c.Capture != nil {
		capture = c.Capture()
	}
	s := assemble(f, capture)
	return s.withHeadroom(c.forecast(f.slot, f.written()))
}

// measureTime is how far apart two reads of the slot are that measure how fast the log grows.
const measureTime = 2 * time.Second

// Measured is Status for a caller that asks once: if the rate at which the retained log grows is not known yet and
// there is a limit for it, it reads the slot again after measureTime. Its error says which part could not be asked;
// whether Kafka answers is in the Status.
func (c *Collector) Measured(ctx context.Context) (Status, error) {
	return c.besideKafka(ctx, c.measured)
}

func (c *Collector) measured(ctx context.Context) (Status, error) {
	f, err := c.read(ctx)
	if err != nil {
		return Status{}, err
	}
	if now := c.forecast(f.slot, f.written()); now.limit != "" && !now.known {
		select {
		case <-time.After(measureTime):
		case <-ctx.Done():
		}
		if again, err := c.pollSlot(ctx); err == nil { // otherwise there is no rate
			f.slot = again
		}
	}
	return c.explained(ctx, c.status(f)), nil
}

// pollSlot reads the slot, and keeps the answer for the rate.
func (c *Collector) pollSlot(ctx context.Context) (slotFacts, error) {
	f, err := readSlot(ctx, c.Postgres, c.Slot)
	if err != nil {
		return f, err
	}
	c.slot.Lock()
	defer c.slot.Unlock()
	c.slot.growth.add(f)
	return f, nil
}

// forecast says how long the retained log may grow.
func (c *Collector) forecast(f slotFacts, before written) forecast {
	c.slot.Lock()
	defer c.slot.Unlock()
	return forecast{f.headroom(c.WALDisk), c.slot.growth.pace(before)}
}

// written is what Postgres has written since the commit that ClickHouse is complete up to: while a pipeline is down,
// that is the best measure of how fast it writes.
func (f *facts) written() written {
	all, known := f.complete[""]
	if !known || int64(all.LSN) > f.slot.current { //nolint:gosec // log positions are far below 2^63
		return written{}
	}
	return written{f.slot.current - int64(all.LSN), f.slot.at.Sub(all.CommitTime)} //nolint:gosec // as above
}

func (c *Collector) read(ctx context.Context) (facts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < factsCache {
		return c.facts, c.err
	}
	c.facts, c.err = c.ask(ctx)
	c.at = time.Now()
	if ctx.Err() != nil {
		c.at = time.Time{} // the asker gave up: that is nothing about the parts
	}
	return c.facts, c.err
}

func (c *Collector) ask(ctx context.Context) (f facts, err error) {
	if f.slot, err = c.pollSlot(ctx); err != nil {
		return f, err
	}
	if c.Match != nil {
		if f.named, err = ReadNamed(ctx, c.Postgres, c.Publication, c.Match); err != nil {
			return f, err
		}
	}
	if f.complete, err = c.readComplete(ctx); err != nil {
		return f, err
	}
	if f.reasons, f.excluded, err = c.readReasons(ctx); err != nil {
		return f, err
	}
	views, stored, err := c.readTables(ctx)
	if err != nil {
		return f, err
	}
	if err := c.count(ctx, f.ours(views), views); err != nil {
		return f, err
	}
	f.counted, f.stored = c.counted, stored
	return f, nil
}

func (c *Collector) ledger() *ledger.Ledger { return ledger.New(c.ClickHouse, c.Database) }

func (c *Collector) readComplete(ctx context.Context) (map[string]ledger.Complete, error) {
	rows, err := askClickHouse(ctx, c.ledger().Complete)
	complete := make(map[string]ledger.Complete, len(rows))
	for _, row := range rows {
		complete[row.Table] = row
	}
	return complete, err
}

// readReasons gives why tables are quarantined, and why capture no longer follows others, by table and in the order of
// the legs.
func (c *Collector) readReasons(ctx context.Context) (quarantined, excluded map[string][]*cdc.Problem, err error) {
	rows, err := askClickHouse(ctx, c.ledger().Quarantines)
	quarantined, excluded = map[string][]*cdc.Problem{}, map[string][]*cdc.Problem{}
	for _, q := range rows {
		switch reason := cdc.ParseProblem(q.Leg + ": " + q.Reason); q.State {
		case ledger.StateSkipping:
			quarantined[q.Table] = append(quarantined[q.Table], reason)
		case ledger.StateExcluded:
			excluded[q.Table] = append(excluded[q.Table], reason)
		case ledger.StateClosed:
		}
	}
	return quarantined, excluded, err
}

// count counts what the views show, again if the counts are old or there is another view.
func (c *Collector) count(ctx context.Context, views []string, exactTexts map[string]bool) error {
	known := len(views) == len(c.counted)
	for _, view := range views {
		_, is := c.counted[view]
		known = known && is
	}
	if known && time.Since(c.countsAt) < countsCache {
		return nil
	}
	var selects []string
	counted := map[string]counts{}
	for _, view := range views {
		name, from := "SELECT "+schemas.ClickHouseLiteral(view)+" AS v, ", " FROM "+schemas.ClickHouseIdent(c.Database)+"."+schemas.ClickHouseIdent(view)
		selects = append(selects, name+"'' AS c, toInt64(count()) AS n"+from)
		if exactTexts[view] {
			selects = append(selects, name+"arrayJoin(mapKeys("+schemas.ColInexact+")) AS c, toInt64(count()) AS n"+from+" GROUP BY c")
		}
	}
	if len(selects) > 0 {
		err := c.query(ctx, strings.Join(selects, " UNION ALL "), func(rows driver.Rows) error {
			var view, column string
			var n int64
			err := rows.Scan(&view, &column, &n)
			counted[view] = counted[view].with(column, n)
			return err
		})
		if err != nil {
			return err
		}
	}
	c.counted, c.countsAt = counted, time.Now()
	return nil
}

// with adds a count: of rows if there is no column.
func (n counts) with(column string, count int64) counts {
	if column == "" {
		n.rows = count
		return n
	}
	if n.inexact == nil {
		n.inexact = map[string]int64{}
	}
	n.inexact[column] = count
	return n
}

// viewNames gives the view of "schema.table" for every way to cut the name: a name may hold a dot itself.
func viewNames(table string) (views []string) {
	for i := range table {
		if table[i] == '.' {
			views = append(views, schemas.ClickHouseView(table[:i], table[i+1:]))
		}
	}
	return views
}

// readTables lists the views, each with whether it has exact texts, and what the newest generation of each table
// stores.
func (c *Collector) readTables(ctx context.Context) (views map[string]bool, newest map[string]ledger.Storage, err error) {
	named, err := askClickHouse(ctx, c.ledger().Views)
	if err != nil {
		return nil, nil, err
	}
	stored, err := askClickHouse(ctx, c.ledger().NewestStorage)
	views, newest = map[string]bool{}, map[string]ledger.Storage{}
	for _, v := range named {
		if v.IsView {
			views[v.Name] = v.ExactTexts
		}
	}
	for _, s := range stored {
		newest[s.View] = s
	}
	return views, newest, err
}

// query runs a query; a table or database that is not there yet has no rows. What row fills is not to be read after an
// error: a call that was given up may end later.
func (c *Collector) query(ctx context.Context, sql string, row func(driver.Rows) error) error {
	_, err := askClickHouse(ctx, func(ctx context.Context) (none struct{}, err error) {
		if err = c.queryRows(ctx, sql, row); errcode.Missing(err) {
			err = nil
		}
		return none, err
	})
	return err
}

// askClickHouse gives up a question when ctx ends, and says what became of it.
func askClickHouse[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	answer, err := Within(ctx, ask)
	if err == nil {
		return answer, nil
	}
	const asking = "ask ClickHouse for the status"
	login, code := ClickHouseLogin(err), errcode.Of(err)
	switch {
	case login != nil:
		return answer, login
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return answer, fmt.Errorf(asking+": %w", hangs("ClickHouse", "clickhouse.url", began))
	case code != 0:
		return answer, cdc.Refused(asking).Because(code).Fix("dirtbike explain clickhouse-grants")
	}
	return answer, cdc.Failed(asking).Because(ClickHouseAway(err)).Fix("see that ClickHouse runs and clickhouse.url is right")
}

func (c *Collector) queryRows(ctx context.Context, sql string, row func(driver.Rows) error) (err error) {
	rows, err := c.ClickHouse.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
