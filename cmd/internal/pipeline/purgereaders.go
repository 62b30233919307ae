package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
)

// Reader is a consumer group, other than the one of this ClickHouse, that reads a topic and has not passed what a purge
// deletes, as far as Kafka knows.
type Reader struct {
	Group string
	// Behind counts the records that it has not read; -1 if its members commit nothing to Kafka, as loaders of other
	// ClickHouse databases.
	Behind int64
}

func (r Reader) String() string {
	if r.Behind < 0 {
		return fmt.Sprintf("%.200q (how far is not known)", r.Group) // a name that anybody chose
	}
	return fmt.Sprintf("%.200q (%s records behind)", r.Group, humanize.Comma(r.Behind))
}

// readers asks Kafka for the groups that read the topic and have not passed what would be deleted. Groups that the
// login may not see are left out, as are readers that are in no group.
func (h *Health) readers(ctx context.Context, f *Former) ([]Reader, error) {
	admin := kadm.NewClient(h.kafka)
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, KafkaError(fmt.Errorf("list the consumer groups: %w", err))
	}
	names := slices.DeleteFunc(listed.Groups(), func(g string) bool { return g == Group(h.config) })
	if len(names) == 0 {
		return nil, nil
	}
	described, err := admin.DescribeGroups(ctx, names...)
	if err != nil && len(described) == 0 {
		return nil, KafkaError(fmt.Errorf("describe the consumer groups: %w", err))
	}
	offsets := admin.FetchManyOffsets(ctx, names...)
	var out []Reader
	for _, name := range names {
		group := described[name]
		if behind, reads := f.behindOf(group.AssignedPartitions()[f.Topic], offsets[name].Fetched); reads && behind != 0 {
			out = append(out, Reader{name, behind})
		}
	}
	return out, nil
}

// behindOf counts what a group has not read of the records that would be deleted; -1 if that is not known.
func (f *Former) behindOf(assigned map[int32]struct{}, committed kadm.OffsetResponses) (behind int64, reads bool) {
	unknown := false
	for p, below := range f.Below {
		_, has := assigned[p]
		at, known := committed.Lookup(f.Topic, p)
		switch {
		case known && at.Err == nil && at.At >= 0:
			reads, behind = true, behind+max(0, below-max(at.At, f.starts[p]))
		case has:
			reads, unknown = true, true
		}
	}
	if unknown && behind == 0 {
		behind = -1
	}
	return behind, reads
}

// unread refuses to delete what others have not read.
func (f *Former) unread() *cdc.Problem {
	names := make([]string, len(f.Readers))
	for i, r := range f.Readers {
		names[i] = r.String()
	}
	return cdc.Refused("nothing of %s is deleted: other groups that read topic %s have not passed it: %s", f.Table, f.Topic, cdc.Few(names)).
		Keeps("Kafka still has everything").Fix("let them read on").Fix("%s --yes --despite-readers, by which they lose it", cdc.PurgeCommand(f.Table))
}
