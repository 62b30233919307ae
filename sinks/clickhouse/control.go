package clickhouse

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// control takes a truncate, open or end record (rules 11 and 13).
func (r *route) control(ctx context.Context, rec *kgo.Record, key, payload []byte, c *contract) error {
	if err := c.reader.Envelope(payload, &r.b.env, nil); err != nil {
		return err
	}
	control, err := avro.ReadControl(key)
	if err != nil {
		return err
	}
	p, at := r.partition, r.b.env.Meta.Position
	switch control.Kind {
	case avro.ControlTruncate:
		return r.truncate(ctx, control.Leaf, at, c)
	case avro.ControlOpen:
		if control.Generation <= p.Opened(rec.Offset) {
			return consume.LostCount(p, rec, control.Generation)
		}
		r.mark(rec, control.Generation, ledger.KindOpen, at)
		if control.Generation < p.Newest || control.Generation <= p.Topic.Shown {
			return nil // a replay
		}
		_, err := r.b.generations.of(ctx, p.Topic, p.Topic.Generation(control.Generation), c)
		return err
	case avro.ControlEnd:
		return r.end(rec, control.Generation, at)
	}
	return fmt.Errorf("unknown control record %q", control.Kind)
}

// end takes an end record. One that was repeated changes nothing; one that nothing was opened for, or that contradicts
// the one before it, was not written by a capture that knows what it does.
func (r *route) end(rec *kgo.Record, generation uint32, at cdc.Position) error {
	p := r.partition
	var known apply.End
	ended := false
	if g := p.Topic.Generations[generation]; g != nil {
		known, ended = g.Ends[p.ID]
	}
	opened, open := p.Opens[generation]
	switch {
	case !open || opened >= rec.Offset: // refused below
	case ended && known.Offset < rec.Offset && known.Cut == at:
		return nil
	case !ended || known.Offset >= rec.Offset:
		r.mark(rec, generation, ledger.KindEnd, at)
		return nil
	}
	return cdc.Failed("the end of generation %d of the table does not follow its begin: the record was repeated or forged", generation).
		Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
}

// mark takes an open or end into the topic's state and the batch.
func (r *route) mark(rec *kgo.Record, generation uint32, kind string, at cdc.Position) {
	p := r.partition
	p.Topic.Learn(p.ID, generation, kind, apply.End{Offset: rec.Offset, Cut: at})
	p.Topic.Outdated = true
	m := ledger.Mark{TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: p.ID, Generation: generation, Kind: kind, Offset: rec.Offset, Version: at}
	if b := r.b.batch; kind == ledger.KindOpen {
		b.opens = append(b.opens, m)
	} else {
		b.ends = append(b.ends, m)
	}
}

func (r *route) truncate(ctx context.Context, leaf uint32, at cdc.Position, c *contract) error {
	p := r.partition
	if leaf == 0 {
		for _, key := range p.FoundBelow(at) {
			r.b.batch.missingRow(p, key, at, false)
		}
	}
	targets, err := r.b.targets(ctx, p, c)
	for _, t := range targets {
		if at.Compare(t.cut) >= 0 {
			r.b.batch.cut(p.Topic, t.generation, leaf, at)
		}
	}
	return err
}
