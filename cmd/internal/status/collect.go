package status

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/inventory"
	"dirtbike/schemas"
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
	// Kafka asks a broker for anything; an ErrRefused says what to do. nil leaves it out.
	Kafka func(ctx context.Context) error
	// Strangers is an error if a client that is no loader is in the loaders' consumer group; nil leaves it out. It ends
	// in time, and is asked once Kafka has answered.
	Strangers func(ctx context.Context) error
	// Topics counts the topics of tables that there are; nil leaves it out. It is asked while a capture starts.
	Topics func(ctx context.Context) (int, error)
	// Capture gives the status of a capture in this process; nil if there is none.
	Capture func() capture.Status
	// WALDisk is how much log Postgres' disk can hold, in bytes; 0 if unknown.
	WALDisk int64
	// Obstacles says what keeps capture from tables that source.tables names, by "schema.table", and what fixes it; it
	// is asked while there are tables that are not captured. Nil leaves only that they are not.
	Obstacles func(ctx context.Context) (map[string]*cdc.Problem, error)
	// Inventory says what leaves Postgres; nil leaves it out. It is asked once a minute, and reads the catalog.
	Inventory func(ctx context.Context) (inventory.Inventory, error)
	// Formers says, by table, how many records its topic still has from before its present copy; nil leaves it out.
	// It is asked once a minute.
	Formers func(ctx context.Context) (map[string]int64, error)
	// State gives what capture has stored, nil if no capture has begun. It is asked while a table is quarantined, or
	// ClickHouse is away. Nil leaves that out.
	State func(ctx context.Context) (*cdc.State, error)
	// Exposed are connections that somebody on the way could read, or pose as the server of.
	Exposed []*cdc.Problem
	// MayOpen is what the config alone says, for when Inventory has no answer.
	MayOpen bool
}

// Collector gathers the status, for concurrent use. It keeps answers for a quarter of a second.
type Collector struct {
	Sources
	mu    sync.Mutex
	facts facts
	err   error
	at    time.Time
	spent time.Time // when one who asked last ran out of time

	asks func(context.Context) (facts, error) // for tests; nil is ask

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
	inventory answer[inventory.Inventory]
	former    answer[map[string]int64]
	state     answer[*cdc.State]
}

// NewCollector makes a collector; it asks nothing yet.
func NewCollector(s Sources) *Collector {
	return &Collector{Sources: s, state: answer[*cdc.State]{keep: obstaclesCache}}
}

const (
	// factsCache is for how long an answer is used again: people watch a copy through it.
	factsCache = 250 * time.Millisecond
	// obstaclesCache is for how long the reasons that keep tables out are used again: asking reads the whole catalog.
	obstaclesCache = 10 * time.Second
)

// facts are the answers of both servers.
type facts struct {
	slot     slotFacts
	named    []Named                     // by source.tables, captured or not
	complete map[string]ledger.Complete  // by table, "" for everything
	reasons  map[string][]*cdc.Problem   // of quarantined tables
	refused  map[string]uint32           // the newest generation that a quarantine concerns
	excluded map[string][]*cdc.Problem   // why capture no longer follows a table
	shown    map[string]uint32           // the generation of each view; a table is shown once it has a view
	stored   map[string][]ledger.Storage // the generations of each table, by its view, the newest first
	notices  []ledger.Notice             // what loaders say
	topics   int                         // of tables; only while a capture starts
	// postgres and clickHouse are why the server did not answer; nil if it did.
	postgres, clickHouse error
}

// rows estimates a table's rows, and says whether it has a view: those that are stored of the generation that the view
// shows, or else those that have been copied so far. Outranked and deleted ones count until ClickHouse merges them
// away.
func (f *facts) rows(table string) (rows int64, shown bool) {
	for _, view := range viewNames(table) {
		generation, is := f.shown[view]
		shown = shown || is
		for at, s := range f.stored[view] {
			if s.Generation == generation || at == 0 && rows == 0 {
				rows = s.Rows
			}
		}
	}
	return rows, shown
}

// parts gives the number of parts of the table's storage.
func (f *facts) parts(table string) (n int64) {
	for _, view := range viewNames(table) {
		if len(f.stored[view]) > 0 {
			n = max(n, f.stored[view][0].Parts)
		}
	}
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
// there is a limit for it, it reads the slot again after measureTime. Its error says which part could not be asked; the
// Status then has what the other says. Whether Kafka answers is in the Status.
func (c *Collector) Measured(ctx context.Context) (Status, error) {
	return c.withKafka(ctx, func(ctx context.Context) (Status, error) {
		f, err := c.read(ctx)
		if err != nil {
			return c.partial(ctx, f), err
		}
		if now := c.forecast(f.slot, f.written()); now.limit != "" && !now.known {
			pause(ctx, measureTime)
			if again, err := c.pollSlot(ctx); err == nil { // otherwise there is no rate
				f.slot = again
			}
		}
		return c.explained(ctx, c.status(f)), nil
	})
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// pollSlot reads the slot, and keeps the answer for the rate.
func (c *Collector) pollSlot(ctx context.Context) (slotFacts, error) {
	f, err := readSlot(ctx, c.Postgres, c.Slot)
	if err != nil {
		return f, err
	}
	f.connected = f.connected || c.Capture != nil // that of this process runs, also while it has no connection
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

// written is what was written since the commit that ClickHouse has: the best measure while a pipeline is down.
func (f *facts) written() written {
	all, known := f.complete[""]
	if !known || int64(all.LSN) > f.slot.current { //nolint:gosec // log positions are far below 2^63
		return written{}
	}
	return written{f.slot.current - int64(all.LSN), f.slot.at.Sub(all.CommitTime)} //nolint:gosec // as above
}

func (c *Collector) read(ctx context.Context) (facts, error) {
	began := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < factsCache {
		return c.facts, c.err
	}
	if c.spent.After(began) {
		return c.facts, c.err // somebody else asked meanwhile, and used the time up: with what is left nobody would answer
	}
	ask := c.asks
	if ask == nil {
		ask = c.ask
	}
	c.facts, c.err = ask(ctx)
	c.at = time.Now()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.spent = c.at
	}
	if ctx.Err() != nil {
		c.at = time.Time{} // the caller gave up, which says nothing about the servers
	}
	return c.facts, c.err
}

// ask asks both servers at once. With an error the facts are those of the server that answered, if one did.
func (c *Collector) ask(ctx context.Context) (f facts, err error) {
	var slot slotFacts
	var named []Named
	var away error
	var asking sync.WaitGroup
	asking.Go(func() {
		if slot, away = c.pollSlot(ctx); away == nil && c.Match != nil {
			named, away = ReadNamed(ctx, c.Postgres, c.Publication, c.Match)
		}
	})
	f, err = askClickHouse(ctx, func(ctx context.Context) (facts, error) {
		return readLedger(ctx, ledger.New(c.ClickHouse, c.Database))
	})
	asking.Wait()
	f.slot, f.named, f.postgres, f.clickHouse = slot, named, away, err
	if err = cmp.Or(away, err); err == nil && slot.connected && !slot.found && c.Topics != nil {
		f.topics, _ = c.Topics(ctx) // Kafka has a check of its own
	}
	return f, err
}

// unknown is the phase while a server does not answer.
const unknown = "unknown"

// partial is what can be said while a server does not answer.
func (c *Collector) partial(ctx context.Context, f facts) Status {
	var s Status
	if f.clickHouse == nil {
		s = assemble(f, capture.Status{})
		s.LagBytes, s.LagSeconds, s.capture, s.inactive = nil, nil, nil, ""
	} else if f.postgres == nil {
		s.capture = f.slot.problem(string(cdc.PhaseStreaming), 0)
		if f.slot.found {
			s.RetainedWALBytes = &f.slot.retained
		}
		if f.slot.waits != nil {
			s.Waits = f.slot.waits.Error()
		}
		if f.slot.nobodyReads(string(cdc.PhaseStreaming)) {
			s.inactive = f.slot.inactive()
		}
		s = s.withHeadroom(c.forecast(f.slot, written{}))
	}
	if c.Capture != nil {
		s.Progress = c.Capture().Progress
	}
	if f.clickHouse != nil {
		s.Tables = c.captured(ctx)
	}
	s.Phase = unknown
	for _, err := range []error{f.postgres, f.clickHouse} {
		if err != nil {
			s.Missing = append(s.Missing, cdc.Explain(err).Error())
		}
	}
	s.postgresAway, s.clickHouseAway = f.postgres != nil, f.clickHouse != nil
	return s
}
