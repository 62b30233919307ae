// Package clickhouse is the load leg: a Kafka consumer group that keeps ClickHouse tables equal to the topics.
//
// Rows become columns in ClickHouse's native layout without a map, a reflection or an allocation per row; inserts are
// idempotent by key and version, applied offsets follow them (rule 21). cdc/EXACTNESS.md, "Formats", names every
// object.
//
// Rows travel over ch-go, the layer below clickhouse-go, and everything else over clickhouse-go; package block says
// why.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/session"
	"dirtbike/sinks/clickhouse/table"
)

// Loader is one member of the load leg's consumer group. Any number of loaders may run; Kafka spreads the partitions.
//
// Two goroutines work. The builder polls records and makes the rows of batch n+1 of them, while the inserter writes
// batch n to ClickHouse (see inserter). The builder owns all state: topics, partitions, generations, quarantines,
// progress. A batch that is handed over has everything that the inserter needs and is the inserter's alone until it is
// finished; what the inserter found out is taken into the state afterwards.
//
//	builder:  forever
//	              poll, until records come, or the batch in flight is finished
//	              if it is: take its findings and its offsets into the state
//	              take the records into the batch being built
//	              if that is due, and nothing is in flight: hand it over
//	              after a finished batch, or while quiet: views, what is complete, health
//	          do not poll while the batch being built is full: memory is bounded by two batches and the consumer's fetches
//	inserter: for each batch: opens, bases, rows, quarantines, cuts, ends, missing rows, applied offsets
//
// Invariant: whatever counts as applied is in ClickHouse, and what is in ClickHouse beyond that is harmless. So:
//   - One batch is in flight at a time, and the next is handed over only after the findings of the one before were
//     taken: its rows of a table that was quarantined meanwhile are dropped. What batch n is inserted with (offsets,
//     cuts, newest generations) is what was known at its own end, never what n+1 brought.
//   - A base (rule 17) that is not in the record's own batch is read by the inserter in the turn of that batch: the
//     insert of the batch before has been acknowledged by then.
//   - A progress record counts only once its batch is applied: its quarantines are in ClickHouse before a point that
//     covers them.
//   - Partitions come and go only while nothing is in flight and nothing is built: Kafka's callbacks wait, and a
//     rebalance that waits makes the builder stop polling until both batches are applied.
//   - Views are replaced only while nothing is in flight, since a widened column makes the inserter replace them, too;
//     and only by the ends of copies that ClickHouse has, since rows of others may still be waiting in the next batch.
//   - A stop lets the statement in flight end (ledger.Statement), and no other begins; neither batch counts as applied,
//     both are read again.
type Loader struct {
	o       Options
	url     *chgo.Options // of the login; not changed
	conn    driver.Conn
	pool    *table.Pool
	db      *table.DB
	metrics *metrics
	outage  *outage
	retry   retry
	group   *consume.Group
	running context.Context // of Run
	halt    context.CancelCauseFunc

	// Only the builder uses these.
	wait        time.Duration // of the next poll
	quiet       bool          // nothing has come since the last record, for as long as a poll waits
	work        chan *batch   // to the inserter
	inFlight    *batch        // nil: the inserter is idle
	spare       *batch        // the one to build next
	allowed     time.Time     // when a rebalance was last allowed
	rebalancing atomic.Bool   // rebalancing says that a rebalance waits for the batches to be applied

	// mu guards what follows: the builder holds it while it works, the group's callbacks while they assign.
	mu          sync.Mutex
	topics      map[string]*apply.Topic
	builder     *builder
	generations *generations
	progress    *progress
	quarantines *apply.Quarantines
	refreshed   time.Time // when views were last brought up to date
	watch       consume.Watch
	waiting     *waiting
	notices     *notices
	stopped     error // why the loader must stop
}

// New checks the options and prepares the connections; nothing is asked of any server yet.
func New(o Options) (*Loader, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	url, err := o.parseURL()
	if err != nil {
		return nil, err
	}
	conn, err := session.Open(url)
	if err != nil {
		return nil, errors.New("load: the ClickHouse URL cannot be used. Try: clickhouse://user:password@host:9000")
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("load: register metrics: %w", err)
	}
	l := &Loader{
		o: o, url: url, conn: conn, pool: table.NewPool(url), metrics: m, topics: map[string]*apply.Topic{},
		progress: &progress{tracker: &complete.Tracker{}}, wait: idleWait,
		quarantines: apply.NewQuarantines(), work: make(chan *batch, 1), spare: newBatch(),
	}
	l.db = table.NewDB(ledger.New(conn, o.Database), l.pool, o.Database)
	l.outage = newOutage(m.retries, o.StoragePatience, o.Log)
	l.outage.loggedIn.Store(o.LoggedIn)
	l.retry = l.outage.retry
	contracts := newContracts(o.Registry, l.outage.once)
	l.generations = &generations{db: l.db, contracts: contracts, quarantines: l.quarantines, retry: l.retry, once: l.outage.once, log: o.Log, harmEvery: o.harmEvery}
	l.builder = &builder{
		o: &l.o, batch: newBatch(), contracts: contracts, generations: l.generations, quarantines: l.quarantines,
		passedOver: &passedOver{count: m.foreign, log: o.Log, topics: map[string]*passedOverTopic{}},
		writers:    &writers{producers: o.Producers, retry: l.retry, once: l.outage.once, known: map[int64]bool{}},
		routes:     map[*apply.Partition]*route{}, recordBytes: firstRecordBytes, log: o.Log,
	}
	l.waiting = &waiting{
		o: &l.o, topics: l.topics, builder: l.builder, quarantines: l.quarantines, ledger: l.db.Ledger, outage: l.outage, gauge: m.waiting, assign: l.assign,
		tables: map[string]*held{}, views: map[string]*held{},
	}
	l.notices = newNotices(l.db.Ledger, o.Log)
	l.builder.controls = &controls{
		source: o.Controls, name: schemas.ControlTopic(o.Prefix), others: l.builder.passedOver, retry: l.retry, log: o.Log,
		topics: map[string]*apply.Controls{}, loaded: l.topics, builder: l.builder, waiting: l.waiting,
	}
	return l, nil
}

// Run loads until ctx ends, and then returns nil; a batch that was not applied is loaded again by the loader that gets
// its partitions. ClickHouse, Kafka or the registry being away is waited for, and the trouble of one table is that
// table's alone. An error is one of Stops: load must not go on without a decision. A Loader runs once.
func (l *Loader) Run(ctx context.Context) error {
	defer l.conn.Close() //nolint:errcheck // nothing is in flight
	defer l.pool.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.running, l.halt, l.builder.contracts.running = ctx, cancel, ctx
	err := l.retry(ctx, "read the settings profile of the login", func(ctx context.Context) error { return session.CheckProfile(ctx, l.url) })
	if err == nil {
		err = l.retry(ctx, "prepare ClickHouse", l.db.Ledger.Bootstrap)
	}
	if err == nil {
		err = l.retry(ctx, "ask whose database it is", func(ctx context.Context) error { return l.db.Ledger.CheckOwner(ctx, l.o.Prefix) })
	}
	if err == nil {
		defer watchProfile(ctx, l.url, l.o.profileEvery, cancel)()
		err = l.consume(ctx)
	}
	if cause := context.Cause(ctx); isStop(cause) {
		return cause
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (l *Loader) consume(ctx context.Context) error {
	l.mu.Lock() // the group's callbacks begin at once and need the client
	group, err := consume.Join(l.groupOptions())
	l.group, l.waiting.group = group, group
	l.mu.Unlock()
	if err != nil {
		return err
	}
	defer group.Close()
	defer func() {
		if err := group.Leave(ctx, context.Cause(ctx)); err != nil {
			l.o.Log.Info("not taken out of the consumer group: the others wait until the session ends", zap.Error(err))
		}
	}()
	defer l.startInserter(ctx)()
	for ctx.Err() == nil {
		fetches := l.poll(ctx)
		if err := l.step(ctx, fetches); err != nil {
			return err
		}
		if l.idle() {
			l.rebalancing.Store(false)
			l.allowed = time.Now()
			group.Client.AllowRebalance()
		}
	}
	return nil
}

// startInserter runs the inserter; stop lets the statement in flight end and waits for it.
func (l *Loader) startInserter(ctx context.Context) (stop func()) {
	i := &inserter{o: &l.o, db: l.db, retry: l.retry, ofTable: l.outage.ofTable, metrics: l.metrics, basesAtOnce: basesAtOnce{}}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i.run(ctx, l.work)
	}()
	return func() {
		cancel()
		close(l.work)
		<-ended
	}
}

// profileEvery is how often a loader asks for the settings profile of its login.
const profileEvery = 30 * time.Second

// watchProfile ends load once the profile of its login would cut what the views show, which somebody may change at any
// time; a server that does not answer is asked again. stop waits for it.
func watchProfile(ctx context.Context, url *chgo.Options, every time.Duration, halt context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := session.CheckProfile(ctx, url); errors.Is(err, cdc.ErrRefused) {
				halt(err)
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
