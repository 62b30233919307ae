package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
)

// SkipToNewerOpen skips a record of a partition that seeks. The record that it waits for ends the seeking. isControl
// reports whether a key schema is that of control records.
func SkipToNewerOpen(ctx context.Context, p *apply.Partition, rec *kgo.Record, isControl func(context.Context, int) (bool, error)) (found bool, err error) {
	found, err = opensAbove(ctx, p.Seek.Above, rec, isControl)
	switch {
	case err != nil:
		return false, err
	case found:
		p.Seek = nil
		return true, nil
	}
	p.Next = rec.Offset + 1
	return false, p.Seek.Passed(p.Next)
}

// opensAbove reports whether the record opens a generation above that one. A record that cannot be read does not.
func opensAbove(ctx context.Context, above uint32, rec *kgo.Record, isControl func(context.Context, int) (bool, error)) (bool, error) {
	if rec.Attrs.IsControl() {
		return false, nil
	}
	id, key, err := avro.SplitFrame(rec.Key)
	if err != nil {
		return false, nil //nolint:nilerr // not a record of dirtbike's
	}
	control, err := isControl(ctx, id)
	if errors.Is(err, schemas.ErrNoSchema) {
		return false, nil // it is gone
	}
	if err != nil || !control {
		return false, err
	}
	c, err := avro.ReadControl(key)
	return err == nil && c.Kind == avro.ControlOpen && c.Generation > above, nil
}

// LostCount says that an open record's generation is not newer than one that was opened before it: the record was
// repeated or forged, or the capture that wrote it has lost the count of generations. Rows after it cannot be
// distinguished from those of earlier copies.
func LostCount(p *apply.Partition, rec *kgo.Record, generation uint32) error {
	newest := p.Opened(rec.Offset)
	problem := cdc.Failed("generation %d of the table begins after generation %d: the record was repeated or forged, or capture has lost its state", generation, newest)
	if generation == newest {
		problem = problem.Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
	}
	return problem.Fix("%s", cdc.ResnapshotAllCommand)
}

// seekPatience is how long a partition that seeks may receive no record.
const seekPatience = 10 * time.Second

// Overdue says why load stops if no record comes to a partition that seeks.
func Overdue(topics map[string]*apply.Topic) error {
	for _, s := range seeking(topics) {
		if time.Since(s.Since) > seekPatience {
			return s.Why
		}
	}
	return nil
}

// seeking lists what seeks, except a progress topic that only lacks its first records and waits for a full one.
func seeking(topics map[string]*apply.Topic) (all []*apply.Seek) {
	for _, t := range topics {
		for _, p := range t.Parts {
			if p.Seek != nil && (!t.Progress || p.Seek.Renewed) {
				all = append(all, p.Seek)
			}
		}
	}
	return all
}

// PauseOthers pauses the partitions that do not seek, if any other one does: if it finds no newer copy, nothing must
// have changed.
func PauseOthers(client *kgo.Client, topics map[string]*apply.Topic) {
	if len(seeking(topics)) == 0 {
		return
	}
	others := map[string][]int32{}
	for name, t := range topics {
		for id, p := range t.Parts {
			if p.Seek == nil {
				others[name] = append(others[name], id)
			}
		}
	}
	client.PauseFetchPartitions(others)
}

// ResumeOthers resumes them once no partition seeks.
func ResumeOthers(client *kgo.Client, topics map[string]*apply.Topic) {
	if paused := client.PauseFetchPartitions(nil); len(paused) > 0 && len(seeking(topics)) == 0 {
		client.ResumeFetchPartitions(paused)
	}
}
