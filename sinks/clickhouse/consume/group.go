// Package consume reads the pipeline's topics as a member of a consumer group: it decides where assigned partitions
// start, what is done where a topic does not continue what ClickHouse has, and notices when topics are replaced.
// Offsets come from ClickHouse alone (rule 21).
package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/schemas/kafkabatch"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// ClientID is how loaders call themselves in the group.
const ClientID = "dirtbike-load"

// Options of a Group. The callbacks are called by the client's own goroutines; none runs between a poll and
// AllowRebalance.
type Options struct {
	Kafka           []kgo.Opt // Kafka has the seed brokers and, where needed, TLS and SASL
	Group, Instance string    // its name, and Instance the static member's; "" is none
	Prefix          string    // Prefix of the pipeline's topics
	FetchBytes      int32     // FetchBytes bounds one fetch as it is sent, of which there are two at a time
	// BatchBytes bounds what one batch unpacks to; UnpackedBytes what is unpacked at a time, except for a single batch.
	BatchBytes    int
	UnpackedBytes int64
	// Assigned fills in the offsets from which newly assigned partitions are read. An error begins the session again.
	Assigned func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error)
	Revoked  func(map[string][]int32) // Revoked takes the partitions that another member gets, or that are lost
	Joined   func()                   // called at the beginning of every session, also without partitions
	Blocked  func()                   // called when a rebalance waits for AllowRebalance
	// Fenced is called with an ErrSameInstance, before the client joins again: two loaders of one name would fence each
	// other without end.
	Fenced func(error)
}

// Group is the membership of one loader. No partition is taken away between a poll and Client.AllowRebalance.
type Group struct {
	Client *kgo.Client
	Admin  *kadm.Client
	o      Options
	wentOn int // calls of GoOn
	end    context.CancelFunc
}

// Join makes the client, which joins in the background.
func Join(o Options) (*Group, error) {
	unpack, err := newUnpacker(o.BatchBytes, o.UnpackedBytes)
	if err != nil {
		return nil, fmt.Errorf("load: Kafka options: %w", err)
	}
	counted, err := counting(o.Kafka, kafkabatch.MostRecords(o.BatchBytes))
	if err != nil {
		return nil, fmt.Errorf("load: Kafka options: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	opts := append(o.client(), kgo.WithContext(ctx), kgo.WithDecompressor(unpack), kgo.WithHooks(unpack))
	client, err := kgo.NewClient(append(opts, counted...)...)
	if err != nil {
		end()
		return nil, fmt.Errorf("load: Kafka options: %w", err)
	}
	unpack.holds(client.BufferedFetchBytes)
	return &Group{Client: client, Admin: kadm.NewClient(client), o: o, end: end}, nil
}

func (o *Options) client() []kgo.Opt {
	revoked := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { o.Revoked(partitions) }
	opts := append(append([]kgo.Opt{}, o.Kafka...),
		kgo.ClientID(ClientID),
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeRegex(),
		kgo.ConsumeTopics("^"+regexp.QuoteMeta(o.Prefix)+`\.[^.]+\.[^.]+$`, "^"+regexp.QuoteMeta(schemas.ProgressTopic(o.Prefix))+"$"),
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(o.Assigned),
		// This makes assignment wait for the poll loop, too.
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { o.Joined() }),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(revoked),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { o.Blocked() }),
		kgo.WithHooks(groupErrors{o}),
		kgo.FetchMaxBytes(o.FetchBytes), kgo.FetchMaxPartitionBytes(max(o.FetchBytes/4, 1<<16)), kgo.MaxConcurrentFetches(2),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if o.Instance != "" {
		opts = append(opts, kgo.InstanceID(o.Instance))
	}
	return opts
}

// groupErrors receives the reason why a session of the group ended.
type groupErrors struct{ o *Options }

// OnGroupManageError implements kgo.HookGroupManageError.
func (g groupErrors) OnGroupManageError(err error) {
	if errors.Is(err, kerr.FencedInstanceID) {
		g.o.Fenced(cdc.Failed("group %s, member %s", g.o.Group, g.o.Instance).Of(ErrSameInstance).
			Keeps("what is in ClickHouse is safe").Fix("another --listen port for one of the two"))
	}
}

// leaveTimeout bounds how long a stop waits for the group; without an answer the session ends by itself.
const leaveTimeout = 3 * time.Second

// Leave ends the membership, so that the others have the partitions at once: the client itself keeps the name of a
// static member until its session times out. stop is why the loader stops: after a takeover (ErrSameInstance) another
// loader has the name. An error says that the others wait until the session ends. The client is closed by Close.
func (g *Group) Leave(ctx context.Context, stop error) error {
	member, _ := g.Client.GroupMetadata()
	g.Client.AllowRebalance()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	err := g.Client.LeaveGroupContext(ctx) // no heartbeat and no join follows
	if err == nil && g.o.Instance != "" && member != "" && !errors.Is(stop, ErrSameInstance) {
		err = g.removeMember(ctx, member) // its own member id keeps it from removing another one of its name
	}
	return err
}

func (g *Group) removeMember(ctx context.Context, id string) error {
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID, member.InstanceID, member.Reason = id, &g.o.Instance, kmsg.StringPtr("stopped")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = g.o.Group, []kmsg.LeaveGroupRequestMember{member}
	resp, err := req.RequestWith(ctx, g.Client)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	for _, m := range resp.Members {
		err = errors.Join(err, kerr.ErrorForCode(m.ErrorCode))
	}
	return err
}

// Close ends all connections. It waits for nobody: a join that is under way would otherwise be waited for, which takes
// until the sessions of members end that are gone.
func (g *Group) Close() {
	g.end()
	g.Client.CloseAllowingRebalance()
}

const (
	// CheckInterval is how often topics are looked up while they are being loaded.
	CheckInterval   = 5 * time.Second
	missingPatience = 8 * time.Second // a broker that has just started may not know its topics yet
)

// Watch notices that a topic was deleted and made again while it is being loaded, or that all of them are gone. The
// zero value is ready.
type Watch struct {
	asked   time.Time
	missing time.Time // since when the progress topic is not there; zero while it is
}

// Due says that it is time to ask again.
func (w *Watch) Due() bool { return time.Since(w.asked) >= CheckInterval }

// Now makes it time to ask.
func (w *Watch) Now() { w.asked = time.Time{} }

// Ask asks Kafka about the topics and the progress topic. away is why it did not answer, which does not stop the
// loader; renewed are the tables' topics that were deleted and made again; stop is ErrTopicChanged.
func (w *Watch) Ask(ctx context.Context, kafka *kadm.Client, books *ledger.Ledger, topics map[string]*apply.Topic, progress string) (renewed []*apply.Topic, away, stop error) {
	w.asked = time.Now()
	details, err := kafka.ListTopics(ctx, append(slices.Sorted(maps.Keys(topics)), progress)...)
	if err != nil {
		return nil, err, nil
	}
	for name, t := range topics {
		if d, ok := details[name]; ok && d.Err == nil && len(t.Parts) > 0 && t.ID != uuid.Nil && uuid.UUID(d.ID) != t.ID {
			if t.Progress {
				return nil, nil, TopicChanged(name)
			}
			renewed = append(renewed, t)
		}
	}
	if !w.lost(details[progress].Err) {
		return renewed, nil, nil
	}
	applied, err := books.Applied(ctx, []string{progress})
	if err != nil || len(applied) == 0 {
		return renewed, nil, nil //nolint:nilerr // asked again soon; without a row it is a first start
	}
	return nil, nil, cdc.Failed("Kafka has no topic %s, which was loaded before: is this another cluster, or was it rebuilt?", progress).Of(ErrTopicChanged).
		Keeps("what is in ClickHouse is safe").Fix("connect to the former cluster").Fix("%s", cdc.ResnapshotAllCommand)
}

// lost reports whether the progress topic has been missing for longer than a broker takes to start: then Kafka has lost
// the pipeline, and no fetch would ever fail, because there is nothing to consume.
func (w *Watch) lost(found error) bool {
	if !errors.Is(found, kerr.UnknownTopicOrPartition) {
		w.missing = time.Time{}
		return false
	}
	if w.missing.IsZero() {
		w.missing = w.asked
	}
	return w.asked.Sub(w.missing) >= missingPatience
}

// GoOn lets all partitions go on at these offsets. A batch that is too large to be read stops its partition in the
// client until an offset is set; and what the client has read of other partitions is dropped then, also the news that
// one of them has stopped. So all are set, each time with another of the epochs that mean none: what is set twice the
// client leaves alone.
func (g *Group) GoOn(next map[string]map[int32]int64) {
	g.wentOn++
	epoch := -1 - int32(g.wentOn%2)
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for topic, partitions := range next {
		offsets[topic] = map[int32]kgo.EpochOffset{}
		for id, offset := range partitions {
			offsets[topic][id] = kgo.EpochOffset{Epoch: epoch, Offset: offset}
		}
	}
	g.Client.SetOffsets(offsets)
}
