// Package kafka is the durable sink: it stores chunks of encoded records in Kafka, exactly once, one Kafka transaction
// for each commit of the capture loop (rules 3, 4, 7 and 8 of cdc/EXACTNESS.md).
//
// Everything that a capture must remember lives in the same transaction as the records: the point and the tables' state
// in the state topic, and in the progress topic how far each partition reaches. Sink's comment gives the order of a
// commit and of a recovery; stateReader reads what is stored, topicAdmin makes and checks topics.
//
// An error is one of four: a cdc.TableTrouble (the topic of one table: that table cannot go on, the others can),
// cdc.ErrFenced (another capture has taken over), cdc.ErrRefused (configuration, rights, our own topics or the stored
// state; another try cannot fix it, and capture stops), or something temporary: then capture recovers and goes on.
// whose sorts Kafka's codes.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// Sink is the durable sink. Recover comes first; it is the only way on after an error, except that a *RecordTooLarge
// from Write and a refusal of EnsureTopic leave the sink as it was. All methods are for one goroutine at a time.
//
// Invariant: the point in the state topic, the records up to it, the offsets in the progress topic and the tables'
// states are of one Kafka transaction. So a reader of committed records sees all of a commit or nothing, and nothing
// outside of Kafka has to be kept in step.
//
//	Write:   check every record of the chunk; begin if no transaction is open; produce, blocking while the buffer is full
//	Commit:  flush                                        every record has its offset now
//	         produce changed states, progress, the point  they hold these offsets
//	         flush, EndTransaction                        the answer makes it cdc.Durable
//	Recover: note where the state topic ends
//	         InitProducerID                               fences the producer before; the broker aborts what it left open
//	         make or check our own topics
//	         commit a claim to the state topic            what a fenced producer finds (see claim)
//	         wait until no transaction is open            EndTransaction is answered before its markers are written
//	         read state, progress, and where progress is not of the state's point the ends of the tables' topics
//
// After any error the outcome of the open transaction is unknown, and all but Recover fails. Recover never assumes: it
// reads what became of it.
//
// Rejected: to ask the coordinator what became of the last transaction (the takeover, which must come first, overwrites
// the answer); to go on without Recover after an error that seems to have changed nothing (the client's errors do not
// say which these are); to leave the offsets out and read the ends of all tables' topics at every start (as many
// requests as partitions, where one record says it).
type Sink struct {
	o       Options
	metrics *metrics

	client atomic.Pointer[kgo.Client] // nil before Recover and after Close; the buffer gauge reads it
	topics *topicAdmin                // nil before Recover and after Close
	broken error                      // why only Recover can go on; nil while usable

	txn    *transaction // nil while none is open
	open   []*slab      // chunks whose records were handed over and not yet collected, oldest first
	free   []*slab
	placed placed

	controlReader // reads the control topic for loaders

	owner ownership // of the last takeover

	byTopic map[*cdc.Topic]*topicState // saves hashing names on the row path
	ledger  *ledger
	ids     *topicIDs

	lastFull lastFull
	said     sync.Map // what the log says of topics' settings, once each
}

var _ cdc.Sink = (*Sink)(nil)

// New makes a sink; it opens no connection, Recover does. Errors name the option that is wrong.
func New(o Options) (*Sink, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("kafka sink: %w", err)
	}
	s := &Sink{o: o, ledger: newLedger(), ids: newTopicIDs(), byTopic: map[*cdc.Topic]*topicState{}, broken: errNotRecovered}
	s.controlReader.o, s.atOnce = &s.o, controlsAtOnce
	s.metrics = newMetrics(func() float64 {
		if c := s.client.Load(); c != nil {
			return float64(c.BufferedProduceBytes())
		}
		return 0
	})
	if o.Metrics != nil {
		if err := o.Metrics.Register(s.metrics); err != nil {
			return nil, fmt.Errorf("kafka sink: register metrics: %w", err)
		}
	}
	return s, nil
}

// What Close, and a failed Recover, spend on tidying up at most: a broker that hangs must not hold up the end of the
// process. closeGrace is for what the broker has to answer, abandonGrace for the client to let go of its records.
const closeGrace, abandonGrace = 2 * time.Second, time.Second

// usable says why the sink cannot be used now.
func (s *Sink) usable(doing string) error {
	if s.broken == nil {
		return nil
	}
	return fmt.Errorf("kafka sink: %s: %w: %w", doing, errRecoverFirst, s.broken)
}

// poison makes err the reason why only Recover can go on, and gives the error for the caller.
func (s *Sink) poison(doing string, err error) error {
	err = s.o.blameRecord(s.o.explain(doing, s.whyRefused(err)))
	if s.broken == nil {
		s.broken = err
		s.metrics.failed(err)
	}
	return err
}

// Close aborts the open transaction, so that it does not hold back readers until it times out, and releases the
// producer. An error says that the abort could not be confirmed: the broker does it itself after the transaction
// timeout. It works under an ended context too, and takes at most 3 seconds.
func (s *Sink) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	err := s.abort(ctx)
	s.drop()
	s.controlReader.mu.Lock()
	defer s.controlReader.mu.Unlock()
	s.disconnect()
	s.broken = errClosed
	if s.o.Metrics != nil {
		s.o.Metrics.Unregister(s.metrics)
	}
	return err
}

// abort ends the open transaction without its records. It is safe after a commit of unknown outcome: the client then
// fences itself, which aborts what is still open and leaves alone what was committed. A fenced producer has nothing to
// abort.
func (s *Sink) abort(ctx context.Context) error {
	client := s.client.Load()
	if client == nil || s.txn == nil {
		return nil
	}
	s.txn.cancel(errClosed)
	err := client.AbortBufferedRecords(ctx)
	if err == nil {
		err = client.EndTransaction(ctx, kgo.TryAbort)
	}
	if err == nil || isFenced(err) {
		return nil
	}
	return fmt.Errorf("kafka sink: abort the open transaction of %q: the broker ends it after %s: %w", s.o.TransactionalID, s.o.TransactionTimeout, err)
}

// drop closes the client and gives every chunk back that it no longer reads.
func (s *Sink) drop() {
	if s.txn != nil {
		s.txn.cancel(errClosed)
		s.txn = nil
	}
	if client := s.client.Swap(nil); client != nil {
		client.Close()
	}
	s.abandon()
	s.topics, s.placed = nil, nil
}

// metrics of one sink.
type metrics struct {
	records, bytes, commits, fenced, errors prometheus.Counter
	commitSeconds                           prometheus.Histogram
	buffered                                prometheus.GaugeFunc
}

func newMetrics(buffered func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "dirtbike_kafka_" + name, Help: help})
	}
	return &metrics{
		records: counter("records_total", "Records of tables committed to Kafka."),
		bytes:   counter("bytes_total", "Bytes of keys and values of tables committed to Kafka, before compression."),
		commits: counter("commits_total", "Kafka transactions committed, idle ones included."),
		fenced:  counter("fenced_total", "Times that another capture took over the transactional id."),
		errors:  counter("errors_total", "Errors after which the sink had to recover or stop, fencing included."),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dirtbike_kafka_commit_seconds", Help: "Duration of a commit in seconds: flush, state and end of the transaction.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		buffered: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dirtbike_kafka_buffered_bytes", Help: "Bytes of keys and values handed to the Kafka client and not yet acknowledged.",
		}, buffered),
	}
}

// All lists what it consists of.
func (m *metrics) All() []prometheus.Collector {
	return []prometheus.Collector{m.records, m.bytes, m.commits, m.fenced, m.errors, m.commitSeconds, m.buffered}
}

// Describe implements prometheus.Collector: all metrics are registered, or none.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.All() {
		c.Describe(to)
	}
}

func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.All() {
		c.Collect(to)
	}
}

func (m *metrics) failed(err error) {
	m.errors.Inc()
	if errors.Is(err, cdc.ErrFenced) {
		m.fenced.Inc()
	}
}
