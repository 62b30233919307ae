package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"dirtbike/schemas"
)

// consumerOptions are those of the group: offsets come from ClickHouse alone, and no partition is taken away within a batch.
func (l *Loader) consumerOptions() []kgo.Opt {
	fetch := int32(min(l.o.MemoryBytes/fetchShare, 32<<20)) //nolint:gosec // small
	opts := append(append([]kgo.Opt{}, l.o.Kafka...),
		kgo.ClientID("dirtbike-load"),
		kgo.ConsumerGroup(l.o.Group),
		kgo.ConsumeRegex(),
		kgo.ConsumeTopics("^"+regexp.QuoteMeta(l.o.Prefix)+`\.[^.]+\.[^.]+$`, "^"+regexp.QuoteMeta(schemas.ProgressTopic(l.o.Prefix))+"$"),
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(l.startOffsets),
		kgo.OnPartitionsAssigned(l.joined), // makes assignment wait for the poll loop, too
		kgo.OnPartitionsRevoked(l.revoked),
		kgo.OnPartitionsLost(l.revoked),
		kgo.WithHooks(groupErrors{l}),
		kgo.FetchMaxBytes(fetch), kgo.FetchMaxPartitionBytes(max(fetch/4, 1<<16)), kgo.MaxConcurrentFetches(concurrentFetches),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if l.o.Instance != "" {
		opts = append(opts, kgo.InstanceID(l.o.Instance))
	}
	return opts
}

const beInGroup = "stay in the consumer group"

// joined is called at the begin of every session of the group, also without partitions.
func (l *Loader) joined(context.Context, *kgo.Client, map[string][]int32) {
	l.status.recovered(beInGroup)
}

// revoked forgets partitions; whoever gets them reads everything from ClickHouse.
func (l *Loader) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, ids := range gone {
		t := l.topics[name]
		if t == nil {
			continue
		}
		for _, id := range ids {
			delete(t.Parts, id)
		}
		if t.Progress {
			l.progress.forget()
		}
	}
}

// groupErrors hears why a session of the group ended.
type groupErrors struct{ l *Loader }

// OnGroupManageError implements kgo.HookGroupManageError. It stops the loader before the client joins again: two loaders of one
// name would throw each other out for ever.
func (g groupErrors) OnGroupManageError(err error) {
	if errors.Is(err, kerr.FencedInstanceID) {
		g.l.halt(fmt.Errorf("%w: group %s, member %s; what is in ClickHouse is safe. Try: another --listen port for one of the two",
			ErrSameInstance, g.l.o.Group, g.l.o.Instance))
	}
}

// leaveTimeout bounds how long a stop waits for the group; without an answer the session ends by itself.
const leaveTimeout = 3 * time.Second

// leave ends the membership, so that the others have the partitions at once: the client itself lets the name of a static member
// stand until its session times out. After a takeover the name is another's, and its own member id keeps it from being removed.
func (l *Loader) leave(stop error) {
	member, _ := l.kc.GroupMetadata()
	l.kc.AllowRebalance()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.running), leaveTimeout)
	defer cancel()
	err := l.kc.LeaveGroupContext(ctx) // no heartbeat and no join follows
	if err == nil && l.o.Instance != "" && member != "" && !errors.Is(stop, ErrSameInstance) {
		err = l.removeMember(ctx, member)
	}
	if err != nil {
		l.o.Log.Info("not taken out of the consumer group: the others wait until the session ends", zap.Error(err))
	}
}

func (l *Loader) removeMember(ctx context.Context, id string) error {
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID, member.InstanceID, member.Reason = id, &l.o.Instance, kmsg.StringPtr("stopped")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = l.o.Group, []kmsg.LeaveGroupRequestMember{member}
	resp, err := req.RequestWith(ctx, l.kc)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	for _, m := range resp.Members {
		if err := kerr.ErrorForCode(m.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}
