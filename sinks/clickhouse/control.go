package clickhouse

import (
	"context"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/ledger"
)

// control applies a control record to the partition (rules 11 and 13).
func (r *route) control(ctx context.Context, c *apply.Control) error {
	p, at := r.partition, c.At(r.partition.ID)
	switch c.Kind {
	case cdc.ControlTruncate:
		return r.truncate(ctx, c)
	case cdc.ControlEnd:
		return r.end(c)
	case cdc.ControlOpen:
	}
	here := apply.End{Offset: at, Cut: c.Position()}
	if known, again := p.Opens[c.Generation]; (!again || known != here) && c.Generation <= p.Opened(at) {
		return consume.LostCount(p, at, c.Generation)
	}
	r.mark(c, ledger.KindOpen)
	if c.Generation < p.Newest || c.Generation <= p.Topic.Shown || r.b.quarantines.Skips(p.Topic.Table, c.Generation) {
		return nil // a replay
	}
	contract, err := r.contract(ctx, c.ValueSchema)
	if err == nil {
		_, err = r.b.generations.of(ctx, p.Topic, p.Topic.Generation(c.Generation), contract)
	}
	return err
}

// end takes the end of a generation. One that was repeated changes nothing; one that nothing was opened for, or that
// contradicts the one before it, was not written by a capture that knows what it does.
func (r *route) end(c *apply.Control) error {
	p, at := r.partition, c.At(r.partition.ID)
	var known apply.End
	ended := false
	if g := p.Topic.Generations[c.Generation]; g != nil {
		known, ended = g.Ends[p.ID]
	}
	opened, open := p.Opens[c.Generation]
	switch {
	case !open || opened.Offset > at: // refused below
	case !ended:
		r.mark(c, ledger.KindEnd)
		return nil
	case known.Cut == c.Position():
		return nil
	}
	return cdc.Failed("the end of generation %d of the table does not follow its begin: the record was repeated or forged", c.Generation).
		Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
}

// mark takes an open or end into the topic's state and the batch.
func (r *route) mark(c *apply.Control, kind string) {
	p, at := r.partition, apply.End{Offset: c.At(r.partition.ID), Cut: c.Position()}
	p.Topic.Learn(p.ID, c.Generation, kind, at)
	p.Topic.Outdated = true
	m := ledger.Mark{TopicID: p.Topic.ID, Topic: p.Topic.Name, Partition: p.ID, Generation: c.Generation, Kind: kind, Offset: at.Offset, Version: at.Cut}
	if b := r.b.batch; kind == ledger.KindOpen {
		b.opens = append(b.opens, m)
	} else {
		b.ends = append(b.ends, m)
	}
}

func (r *route) truncate(ctx context.Context, c *apply.Control) error {
	p, at := r.partition, c.Position()
	if c.Leaf == 0 {
		for _, key := range p.FoundBelow(at) {
			r.b.batch.missingRow(p, key, at, false)
		}
	}
	if r.skipped() {
		return nil
	}
	contract, err := r.contract(ctx, c.ValueSchema)
	if err != nil {
		return err
	}
	targets, err := r.b.targets(ctx, p, contract)
	for _, t := range targets {
		if at.Compare(t.cut) >= 0 {
			r.b.batch.cut(p.Topic, t.generation, c.Leaf, at)
		}
	}
	return err
}

// contract gives the schema of values of an id, which must be the table's.
func (r *route) contract(ctx context.Context, id int) (*contract, error) {
	c, err := r.b.contracts.value(ctx, id)
	if err != nil {
		return nil, err
	}
	if t := r.partition.Topic; c.table.Schema != t.Schema || c.table.Name != t.Rel {
		return nil, fmt.Errorf("%w: id %d: it is that of table %s", errSchema, id, c.table.FullName())
	}
	return c, nil
}
