package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
)

// Rule 10: compaction keeps tombstones for the replay horizon. A loader that comes back later may never learn of a delete, so it
// refuses to go on. What it would read next says how late it is: if the first offset that is younger than the horizon lies behind
// the applied one, then records in between were older (or, compacted away, had been).

// readYoung gives, by topic and partition, the first offset within the horizon; the end where there is none.
func (l *Loader) readYoung(ctx context.Context, topics []string) (kadm.ListedOffsets, error) {
	young, err := l.admin.ListOffsetsAfterMilli(ctx, time.Now().Add(-l.o.ReplayHorizon).UnixMilli(), topics...)
	if err != nil {
		return nil, fmt.Errorf("read the topics' offsets at the replay horizon: %w", err)
	}
	return young, nil
}

// checkHorizon makes a partition seek that was left for longer than the horizon. One with nothing applied is no matter of age.
func (l *Loader) checkHorizon(p *apply.Partition, k known, young kadm.ListedOffsets) {
	first, ok := young.Lookup(p.Topic.Name, p.ID)
	if p.Applied == 0 || !ok || first.Err != nil || first.Offset <= p.Applied {
		return
	}
	why := fmt.Errorf("%w: topic %s, partition %d: what was loaded up to offset %d is older than kafka.replay_horizon (%s), so deletes may be missing; what is in ClickHouse is safe. Try: "+cdc.ResnapshotAllCommand,
		ErrGap, p.Topic.Name, p.ID, p.Applied, l.o.ReplayHorizon)
	k.seek(p, why, false)
}
