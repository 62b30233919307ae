package clickhouse

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/complete"
	"dirtbike/sinks/clickhouse/consume"
)

// controls reads the control topic: truncates, and the opens and ends of generations (rules 11 and 13). Each names its
// place in every partition of its table's topic, and is applied there as if it were a record of it. It is guarded by
// Loader.mu.
//
// Kafka makes the two topics visible independently. So each row says which control record is the last before it, and
// waits until that one is known. What seeks or is quarantined does not look into rows: there the control topic is read
// first, and has all that was written before the rows that were fetched. A generation's rows come in later transactions
// than its open.
type controls struct {
	source cdc.Controls
	name   string // of the topic
	others *passedOver
	retry  retry
	log    *zap.Logger
	id     [16]byte // of the topic
	next   int64
	// asked is when it was read last, settled when all of it was, fetched when records were fetched last.
	asked, settled, fetched time.Time
	topics                  map[string]*apply.Controls // by the id of the table's topic

	loaded  map[string]*apply.Topic // the loader's
	builder *builder
	waiting *waiting
}

// of gives what is known of a topic.
func (c *controls) of(id uuid.UUID) *apply.Controls {
	known := c.topics[id.String()]
	if known == nil {
		known = &apply.Controls{Log: c.id}
		c.topics[id.String()] = known
	}
	return known
}

// controlInterval is how often the control topic is read while neither a row nor the progress topic asks for it.
const controlInterval = time.Second

const readControls = "read the control topic"

// read reads what is new and visible, and with settled all that had been written, unless a transaction stays open.
func (c *controls) read(ctx context.Context, settled bool) (open bool, err error) {
	began := time.Now()
	err = c.retry(ctx, readControls, func(ctx context.Context) error {
		for {
			log, err := c.source.Controls(ctx, c.next, settled)
			if err == nil {
				c.take(log)
			}
			if open = log.Open; err != nil || !log.More {
				return err
			}
		}
	})
	if c.asked = began; settled && !open {
		c.settled = began
	}
	return open, err
}

// leftOpen says why a table waits that must know all that had been written.
func leftOpen() error {
	return &unsettled{readControls, cdc.Failed("a transaction is open on it").Fix("kafka-transactions.sh find-hanging, and stop what else writes to it")}
}

// take takes what was read. A topic that was deleted is forgotten: rows that depend on what was in it wait.
func (c *controls) take(log cdc.ControlLog) {
	if c.id != log.ID {
		if c.id != [16]byte{} {
			c.log.Error("the control topic was deleted: tables wait for what was in it")
		}
		for _, known := range c.topics {
			*known = apply.Controls{Log: log.ID}
		}
		if c.id != [16]byte{} {
			c.id, c.next = log.ID, 0 // it is read from its beginning
			return
		}
	}
	c.id, c.next = log.ID, log.Next
	for range log.Foreign {
		c.others.note(c.name, &kgo.Record{Topic: c.name, Offset: log.Next - 1}, "it was not written by a capture of the pipeline")
	}
	for _, r := range log.Records {
		if id, err := uuid.Parse(r.TopicID); err == nil {
			c.of(id).Add(r)
		}
	}
}

// await reads until a control record of the topic is known.
func (c *controls) await(ctx context.Context, t *apply.Topic, sequence uint64) error {
	for _, settled := range []bool{false, true, true} { // the last is from the beginning of another topic
		open, err := c.read(ctx, settled)
		switch {
		case err != nil:
			return err
		case t.Controls.Known >= sequence:
			return nil
		case settled && open:
			return leftOpen()
		}
	}
	return &unsettled{readControls, cdc.Failed("it lacks a record that came before").Fix(cdc.ResnapshotAllCommand)}
}

// errAgain says that control records were applied before a record, which is to be looked at again.
var errAgain = errors.New("again")

// controlled applies the control records that the row depends on, if they were not known yet. A row of an older
// generation than the partition has come to may say that capture has lost the count: the record that tells is read.
func (r *route) controlled(ctx context.Context, offset int64) error {
	m, p := &r.b.env.Meta, r.partition
	sequence := cdc.ControlSequence(m.Generation, m.Controls)
	known := sequence <= p.Topic.Controls.Known
	if known && (m.Generation >= p.Newest || r.b.controls.fresh()) {
		return nil
	}
	r.undo()
	var err error
	if known {
		err = r.b.controls.upToFetched(ctx)
	} else {
		err = r.b.controls.await(ctx, p.Topic, sequence)
	}
	if err == nil {
		err = r.applyDue(ctx, offset)
	}
	if err == nil {
		err = errAgain
	}
	return err
}

// applyDue applies the control records whose place is at or before an offset.
func (r *route) applyDue(ctx context.Context, offset int64) error {
	p := r.partition
	for c := p.Due(offset); c != nil; c = p.Due(offset) {
		if p.Seek != nil {
			if !p.Seek.Ends(c, p.ID) {
				continue
			}
			p.Seek = nil
			r.b.log.Info("going on from a newer copy", zap.String("topic", p.Topic.Name), zap.Int32("partition", p.ID), zap.Int64("offset", c.At(p.ID)))
		}
		r.b.batch.takeControl(p)
		if err := r.settled(ctx, r.control(ctx, c), c.At(p.ID)); err != nil {
			return err
		}
		p.Take(c)
	}
	return nil
}

// apply applies the control records to which partitions have come, of tables that do not wait. Where one seeks, nothing
// changes in the others.
func (c *controls) apply(ctx context.Context) error {
	seeking := consume.Seeking(c.loaded)
	for _, t := range c.loaded {
		for _, p := range t.Parts {
			if t.Progress || c.waiting.tables[t.Name].waits() || seeking && p.Seek == nil {
				continue
			}
			err := c.builder.route(p).applyDue(ctx, p.Next)
			if isUnsettled(err) {
				c.waiting.hold(t, max(p.Newest, t.Shown), err)
				err = nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// follow reads the control topic if it is time, and applies what is due.
func (c *controls) follow(ctx context.Context) error {
	if time.Since(c.asked) < controlInterval {
		return nil
	}
	if _, err := c.read(ctx, false); err != nil {
		return err
	}
	return c.apply(ctx)
}

// said takes what a progress record says: whether there is more to read.
func (c *controls) said(r *complete.Record) {
	for _, table := range r.Tables {
		if t := c.loaded[table.Topic]; t != nil && cdc.ControlSequence(table.Generation, table.Controls) > t.Controls.Known {
			c.asked = time.Time{}
		}
	}
}

// begin notes that records were fetched. The control topic is read first if rows of a table among them are not looked
// into; while that is not possible these tables wait.
func (c *controls) begin(ctx context.Context, fetches kgo.Fetches, quarantines *apply.Quarantines) error {
	c.fetched = time.Now()
	blind := map[*apply.Topic]bool{}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		t := c.loaded[f.Topic]
		if t == nil || t.Progress || t.Parts[f.Partition] == nil || len(f.Records) == 0 || c.waiting.tables[f.Topic].waits() {
			return
		}
		if p := t.Parts[f.Partition]; p.Seek != nil || quarantines.Skips(t.Table, max(p.Newest, t.Shown)) {
			blind[t] = true
		}
	})
	if len(blind) == 0 {
		return nil
	}
	err := c.upToFetched(ctx)
	if !isUnsettled(err) {
		return err
	}
	for t := range blind {
		c.waiting.hold(t, 0, err)
	}
	return nil
}

// upToFetched makes known all that had been written before the records that were fetched last.
func (c *controls) upToFetched(ctx context.Context) error {
	if c.fresh() {
		return nil
	}
	open, err := c.read(ctx, true)
	if err == nil && open {
		err = leftOpen()
	}
	return err
}

// fresh reports whether it is known.
func (c *controls) fresh() bool { return c.settled.After(c.fetched) }
