package clickhouse

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/consume"
)

func (l *Loader) groupOptions() consume.Options {
	return consume.Options{
		Kafka: l.o.Kafka, Group: l.o.Group, Instance: l.o.Instance, Prefix: l.o.Prefix,
		FetchBytes: int32(min(l.o.MemoryBytes/fetchShare, 32<<20)), //nolint:gosec // small
		BatchBytes: l.o.batchBytes(), UnpackedBytes: l.o.MemoryBytes / unpackedShare,
		Assigned: l.assigned, Revoked: l.revoked, Joined: func() { l.outage.recovered(beInGroup) },
		Blocked: func() { l.rebalancing.Store(true) }, Fenced: func(err error) { l.halt(err) },
	}
}

// assigned decides where each newly assigned partition starts (rule 21). An error other than a stop makes the group
// session begin again, so ClickHouse being away is waited for here.
func (l *Loader) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.running, cancel)()
	began := time.Now()
	err := l.retry(ctx, "find the start offsets", func(ctx context.Context) error {
		return consume.Final(l.assign(ctx, offsets), began)
	})
	if err != nil {
		if ctx.Err() == nil {
			l.stopped = err // the poll loop returns it
		}
		return nil, err
	}
	consume.PauseOthers(l.group.Client, l.topics)
	return offsets, nil
}

// assign fills in the offsets and makes the state of the partitions.
func (l *Loader) assign(ctx context.Context, offsets map[string]map[int32]kgo.Offset) error {
	names, foreign := leaveForeign(l.o.Log, l.o.Prefix, slices.Sorted(maps.Keys(offsets)))
	for _, name := range foreign {
		for id := range offsets[name] {
			offsets[name][id] = kgo.NewOffset().AtEnd()
		}
		l.group.Client.PauseFetchTopics(name)
	}
	if names = slices.DeleteFunc(names, func(name string) bool { return !l.leaveAdded(name, offsets[name]) }); len(names) == 0 {
		return nil
	}
	if _, err := l.builder.controls.read(ctx, false); err != nil {
		return err
	}
	known, err := consume.Read(ctx, l.group.Admin, l.db.Ledger, names, l.o.progressTopic(), l.o.ReplayHorizon)
	if err == nil {
		err = l.quarantines.Load(ctx, l.db.Ledger)
	}
	if err != nil {
		return err
	}
	for _, t := range l.topics {
		t.Changed() // as quarantines may
	}
	shown, err := l.db.Shown(ctx)
	if err != nil {
		return err
	}
	logUnopened(l.o.Log, known, names, l.o.progressTopic())
	for _, name := range names {
		if err := l.assignTopic(ctx, known, shown, name, offsets[name]); err != nil && !l.waiting.setAside(ctx, name, offsets[name], err) {
			return err
		}
	}
	return nil
}

// leaveAdded leaves alone what somebody has added to the progress topic, of which capture writes one partition. It
// reports whether anything else was assigned.
func (l *Loader) leaveAdded(name string, offsets map[int32]kgo.Offset) (others bool) {
	for id := range offsets {
		if name == l.o.progressTopic() && id != 0 {
			offsets[id] = kgo.NewOffset().AtEnd()
		} else {
			others = true
		}
	}
	return others
}

// assignTopic fills in the offsets of one topic and makes the state of its partitions.
func (l *Loader) assignTopic(ctx context.Context, known consume.Known, shown map[string]uint32, name string, offsets map[int32]kgo.Offset) error {
	t, err := known.Topic(l.topics, name, l.o.Prefix)
	if err != nil {
		return err
	}
	if !t.Progress {
		t.Controls = l.builder.controls.of(t.ID)
	}
	for id := range offsets {
		if t.Progress && id != 0 {
			continue
		}
		p, err := known.Start(t, id)
		if err != nil {
			return err
		}
		t.Parts[id] = p
	}
	if !t.Progress && !known.Opened(name) { // there may be thousands that others have made: nothing is asked for each
		t.Shown = shown[t.View()]
		t.Changed()
	} else if err := l.loadTopic(ctx, t, offsets); err != nil {
		return err
	}
	if err := l.waiting.skipGaps(ctx, known, t, offsets); err != nil {
		return err
	}
	for id := range offsets {
		if p := t.Parts[id]; p != nil {
			offsets[id] = kgo.NewOffset().At(p.Next).WithEpoch(-1)
		}
	}
	return nil
}

// logUnopened names, in one line, topics below the prefix of which no generation was opened yet, if it ever is.
func logUnopened(log *zap.Logger, known consume.Known, names []string, progress string) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == progress || known.Opened(name) })
	if len(names) > 0 {
		log.Info("topics assigned of which ClickHouse knows nothing yet", zap.String("topics", cdc.Few(names)), zap.Int("number", len(names)))
	}
}

// loadTopic reads what ClickHouse knows of a topic, and of its partitions that were just assigned.
func (l *Loader) loadTopic(ctx context.Context, t *apply.Topic, assigned map[int32]kgo.Offset) error {
	if t.Progress {
		return l.progress.load(ctx, l.db.Ledger, t, facts{&l.o, l.topics, l.quarantines, l.db.Ledger, l.group, &l.watch, l.retry})
	}
	if _, err := l.generations.load(ctx, t); err != nil {
		return err
	}
	missing, err := l.db.Ledger.MissingRows(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, row := range missing {
		if _, now := assigned[row.Partition]; now { // of the others more is known than ClickHouse has
			t.Parts[row.Partition].MarkMissing([]byte(row.Key), row.Version)
		}
	}
	t.Outdated = len(t.Generations) > 0
	l.o.Log.Info("partitions assigned", zap.String("topic", t.Name), zap.Int("partitions", len(t.Parts)), zap.Uint32("generation_shown", t.Shown))
	return nil
}

// revoked forgets partitions; the loader that gets them reads everything from ClickHouse.
func (l *Loader) revoked(partitions map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, ids := range partitions {
		t := l.topics[name]
		if t == nil {
			continue
		}
		for _, id := range ids {
			delete(l.builder.routes, t.Parts[id])
			delete(t.Parts, id)
		}
		if len(t.Parts) == 0 {
			l.waiting.release(name)
			delete(l.waiting.views, name)
		}
		if t.Progress && len(t.Parts) == 0 {
			l.progress.forget()
		}
	}
}

// checkTopics begins topics again that were deleted and made again while they are loaded, and stops where the progress
// topic was, or is gone.
func (l *Loader) checkTopics(ctx context.Context) error {
	if !l.watch.Due() {
		return nil
	}
	renewed, away, stop := l.watch.Ask(ctx, l.group.Admin, l.db.Ledger, l.topics, l.o.progressTopic())
	for _, t := range renewed {
		l.waiting.hold(t, 0, &unsettled{"read its topic", consume.Renewed(t)})
	}
	switch {
	case away == nil:
		l.outage.recovered(readMetadata)
	case l.outage.since(readMetadata) == 0:
		l.outage.complain("cannot "+readMetadata, readMetadata, away)
	default:
		l.outage.failed(readMetadata, away)
	}
	return stop
}
