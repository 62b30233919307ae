package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// controlAt is a control of a slab's chunk, with the last record before it in each partition of its topic; nil where
// the slab has none.
type controlAt struct {
	control cdc.Control
	topic   *topicState
	before  []*kgo.Record
}

// noteControls notes where the controls of the chunk are, before any of its records is handed over.
func (b *slab) noteControls(stateOf func(*cdc.Topic) *topicState) {
	b.controls = b.controls[:0]
	for _, c := range b.chunk.Controls {
		at := controlAt{control: c, topic: stateOf(c.Topic), before: make([]*kgo.Record, c.Topic.Partitions)}
		for i := range b.records[:c.After] {
			if k := &b.records[i]; k.Topic == c.Topic.Name {
				at.before[k.Partition] = k
			}
		}
		b.controls = append(b.controls, at)
	}
}

// placed are the control records of the open transaction.
type placed []cdc.ControlRecord

// take gives the controls of a slab their places, once its records are acknowledged; the ledger has the offsets of the
// slabs before it. ids are those of the topics.
func (p *placed) take(b *slab, ids *topicIDs) {
	for _, at := range b.controls {
		c := &at.control
		r := cdc.ControlRecord{
			Format: cdc.StateFormat, Kind: c.Kind, Topic: c.Topic.Name, TopicID: ids.of(c.Topic.Name).String(), Schema: c.Schema, Table: c.Table,
			Generation: c.Generation, Number: c.Number, Leaf: c.Leaf, Epoch: c.Position.Epoch, CommitLSN: c.Position.CommitLSN,
			Ordinal: c.Position.Ordinal, TxID: c.XID, TimeUS: c.CommitTime, ValueSchema: c.ValueSchema, Offsets: map[int32]int64{},
		}
		for partition, last := range at.before {
			r.Offsets[int32(partition)] = max(at.topic.next[partition], 0)
			if last != nil {
				r.Offsets[int32(partition)] = last.Offset + 1
			}
		}
		*p = append(*p, r)
	}
}

// records are those to produce; they are forgotten.
func (p *placed) records(topic string) (records []*kgo.Record, err error) {
	for i := range *p {
		value, err := json.Marshal(&(*p)[i])
		if err != nil {
			return nil, fmt.Errorf("encode a control record: %w", err)
		}
		records = append(records, &kgo.Record{Topic: topic, Key: (*p)[i].Key(), Value: value})
	}
	*p = (*p)[:0]
	return records, nil
}

var _ cdc.Controls = (*Sink)(nil)

// controlReader reads the control topic again and again, by one client. It is safe for concurrent use.
type controlReader struct {
	o     *Options
	mu    sync.Mutex
	r     *stateReader // nil: not connected
	close func()
	id    [16]byte // of the topic, as of asked
	asked time.Time
	// atOnce is how many offsets are read at once: a record takes 600 bytes before a loader has it.
	atOnce int64
}

const controlsAtOnce = 20_000

// idInterval is how often a topic that does not grow is looked up: it may be another one.
const idInterval = 5 * time.Second

// Controls implements cdc.Controls. A record counts if it was written in a transaction, by a producer that has claimed
// the pipeline.
func (c *controlReader) Controls(ctx context.Context, from int64, settled bool) (cdc.ControlLog, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.r == nil {
		c.r, c.close, err = connectReader(c.o)
	}
	var log cdc.ControlLog
	if err == nil {
		log, err = c.read(ctx, from, settled)
	}
	if err != nil {
		c.disconnect()
		return log, c.o.explain("read the control topic", err)
	}
	return log, nil
}

// disconnect closes the client.
func (c *controlReader) disconnect() {
	if c.close != nil {
		c.close()
	}
	c.r, c.close, c.asked = nil, nil, time.Time{}
}

func (c *controlReader) read(ctx context.Context, from int64, settled bool) (log cdc.ControlLog, err error) {
	patience := time.Duration(0)
	if settled {
		patience = markerPatience
	}
	more := false
	end := func(ctx context.Context, topic string) (end int64, open bool, err error) {
		end, open, err = c.r.settle(ctx, topic, patience)
		more = end > from+c.atOnce
		return min(end, from+c.atOnce), open, err
	}
	if time.Since(c.asked) < idInterval && c.id != [16]byte{} {
		if end, open, err := end(ctx, c.r.options.controlTopic()); err == nil && end == from {
			return cdc.ControlLog{ID: c.id, Next: from, Open: open}, nil
		}
	}
	log, err = c.r.controls(ctx, from, end, c.r.oursOnly(ctx))
	c.id, c.asked, log.More = log.ID, time.Now(), more
	return log, err
}

// markerPatience is how long a loader waits for transactions on the control topic that end as they should: their
// records are written just before their end.
const markerPatience = 200 * time.Millisecond

// controls reads the records that are ours, from an offset up to an end; open says that more is written beyond.
func (r *stateReader) controls(
	ctx context.Context, from int64, upTo func(context.Context, string) (end int64, open bool, err error), ours func(*kgo.Record) (bool, error),
) (log cdc.ControlLog, err error) {
	topic := r.options.controlTopic()
	_, id, err := r.leader(ctx, topic, 0)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return log, nil
	}
	if err != nil {
		return log, fmt.Errorf("look up topic %s: %w", topic, err)
	}
	log.ID, log.Next = id, from
	end, open, err := upTo(ctx, topic)
	if log.Open = open; err != nil || end <= from {
		return log, err
	}
	first, err := ownOffset(topic)(r.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return log, err
	}
	err = r.read(ctx, topic, 0, max(from, first), end, func(k *kgo.Record) error {
		is, err := ours(k)
		if err != nil || !is {
			log.Foreign++
			return err
		}
		c, err := cdc.ParseControl(k.Value)
		c.Offset = k.Offset
		log.Records = append(log.Records, c)
		return err
	})
	log.Next = end
	return log, err
}

// oursOnly gives a function that says whether a record is the pipeline's. The producers are read again at an id that is
// not known yet.
func (r *stateReader) oursOnly(ctx context.Context) func(*kgo.Record) (bool, error) {
	known, foreign := map[int64]struct{}{}, map[int64]bool{}
	return func(k *kgo.Record) (_ bool, err error) {
		id := k.ProducerID
		if !k.Attrs.IsTransactional() || foreign[id] {
			return false, nil
		}
		if _, ours := known[id]; ours {
			return true, nil
		}
		known, err = r.producers(ctx)
		_, ours := known[id]
		foreign[id] = !ours
		return ours, err
	}
}

// checkControls refuses a control topic that has lost what the state says is in it: loaders would wait for it.
func (r *stateReader) checkControls(ctx context.Context, state *cdc.State) error {
	topic := r.options.controlTopic()
	end, err := ownOffset(topic)(r.adm.ListEndOffsets(ctx, topic))
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		end, err = 0, nil
	}
	if err != nil || end > 0 || r.options.Anew {
		return err
	}
	for _, t := range state.Tables {
		if t.Controls > 0 && t.Phase != cdc.TableExcluded {
			return refuse("the state says what is in it, and nothing is: it was deleted").At("topic " + topic).Fix(cdc.ResnapshotAllCommand)
		}
	}
	return nil
}
