package bench

import (
	"context"
	"errors"
	"maps"
	"time"

	"dirtbike/cdc"
)

// discard is a sink that keeps the state and throws the rows away. It times one pass of capture: from the last commit
// of the phase `from` before any record came, to the commit that ends it. Capture uses it from one goroutine at a time.
type discard struct {
	// from is the phase of the pipeline whose commit begins the pass, through says whether a commit ends it; done is
	// called then.
	from    cdc.Phase
	through func(d *discard) bool
	done    func()
	counted *allocations

	state          *cdc.State // nil: none is stored
	records, bytes int64
	began, ended   time.Time
}

var _ cdc.Sink = (*discard)(nil)

// Peek implements cdc.Sink.
func (d *discard) Peek(context.Context) (*cdc.State, error) {
	if d.state == nil {
		return nil, nil
	}
	out := *d.state
	out.Tables = maps.Clone(out.Tables)
	return &out, nil
}

// Recover implements cdc.Sink.
func (d *discard) Recover(ctx context.Context) (*cdc.State, error) {
	if d.state == nil {
		return &cdc.State{}, nil
	}
	return d.Peek(ctx)
}

// EnsureTopic implements cdc.Sink: every topic is there.
func (d *discard) EnsureTopic(context.Context, *cdc.Topic) (created bool, err error) {
	return false, nil
}

// Unfit implements cdc.Sink: all topics fit.
func (d *discard) Unfit(context.Context, []*cdc.Topic) (map[string]error, error) { return nil, nil }

// Write implements cdc.Sink.
func (d *discard) Write(_ context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	records, bytes := int64(len(c.Records)), int64(len(c.Bytes))
	c.Release()
	if !d.began.IsZero() { // before the first row come open markers
		d.records, d.bytes = d.records+records, d.bytes+bytes
		d.counted.add(records)
	}
	return cdc.AcceptedRecords(records, bytes), nil
}

// Commit implements cdc.Sink.
func (d *discard) Commit(_ context.Context, p cdc.Point, changed ...cdc.StateChange) (cdc.Durable, error) {
	if d.state == nil {
		d.state = &cdc.State{Tables: map[string]cdc.TableState{}}
	}
	d.state.Point = p
	for _, change := range changed {
		switch s := change.(type) {
		case cdc.SourceState:
			d.state.Source = s
			if s.Phase == d.from && d.records == 0 {
				d.began = time.Now()
			}
		case cdc.TableState:
			d.state.Tables[s.Name()] = s
		}
	}
	if !d.began.IsZero() && d.ended.IsZero() && d.through(d) {
		d.ended = time.Now()
		d.done()
	}
	return cdc.DurableAt(p), nil
}

// Close implements cdc.Sink.
func (d *discard) Close(context.Context) error { return nil }

// took is how long the pass took.
func (d *discard) took() (time.Duration, error) {
	if d.ended.IsZero() {
		return 0, errors.New("capture ended before the pass did")
	}
	return d.ended.Sub(d.began), nil
}
