package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"dirtbike/cdc"
)

// server is a Postgres: a log of transactions, a slot, a publication, tables. It outlives captures.
type server struct {
	mu        sync.Mutex
	identity  cdc.Identity
	slot      *cdc.SlotStatus
	published map[uint32]cdc.PublishedBy // nil: no publication
	members   int                        // made so far: none comes twice
	log       []cdc.Event                // of all transactions
	ends      []cdc.LSN                  // of the transaction of each
	rows      map[uint32][]string
	running   []uint64 // transactions that snapshots do not see; those of the log have the id 7
	broker    *broker  // to check what is reported, and for its journal
	streams   []*fakeStream
	early     bool                     // something was reported before it was durable
	copying   func(t *cdc.Table) error // asked in the middle of each copy
	slotErr   error
	dropErr   error
	ensured   func()             // called within each EnsurePublication
	stall     int                // of each new stream
	ahead     time.Duration      // of the clock that stamps commits
	waits     func(*cdc.Problem) // what the newest capture is told by Attend
	owned     uint32             // a table that only its owner may publish
}

// tx is one committed transaction.
type tx struct {
	commit, end cdc.LSN
	events      []cdc.Event
}

func newServer(b *broker) *server {
	return &server{
		identity: cdc.Identity{System: "7", Timeline: 1, Database: "clinic", Flushed: 1000}, rows: map[uint32][]string{}, broker: b,
	}
}

// add appends a transaction after the log.
func (s *server) add(events ...cdc.Event) tx {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := tx{commit: s.identity.Flushed + 10, end: s.identity.Flushed + 20, events: events}
	s.identity.Flushed = t.end
	s.log = append(s.log, cdc.Event{Kind: cdc.EventBegin, CommitLSN: t.commit, XID: 7, CommitTime: int64(t.commit)})
	s.log = append(s.log, t.events...)
	commit := cdc.Event{Kind: cdc.EventCommit, CommitLSN: t.commit, EndLSN: t.end, CommitTime: int64(t.commit)}
	if s.ahead > 0 {
		commit.ServerTime = time.Now().UnixMicro()
		commit.CommitTime = commit.ServerTime + s.ahead.Microseconds()
	}
	s.log = append(s.log, commit)
	for len(s.ends) < len(s.log) {
		s.ends = append(s.ends, t.end)
	}
	s.signal()
	return t
}

// idle moves the log's end as foreign traffic does.
func (s *server) idle(by cdc.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity.Flushed += by
	s.signal()
}

// reach gives how far the log reaches and what the slot's client has confirmed.
func (s *server) reach() (flushed, confirmed cdc.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slot == nil {
		return s.identity.Flushed, 0
	}
	return s.identity.Flushed, s.slot.ConfirmedFlush
}

func (s *server) signal() {
	for _, st := range s.streams {
		st.poke()
	}
}

func (s *server) Identify(context.Context) (cdc.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity, nil
}

func (s *server) Slot(context.Context) (cdc.SlotStatus, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slot == nil {
		return cdc.SlotStatus{}, false, nil
	}
	return *s.slot, true, nil
}

func (s *server) Published(context.Context, []*cdc.Table) (bool, map[uint32]cdc.PublishedBy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker.journal.add("members")
	return s.published != nil, maps.Clone(s.published), nil
}

// publish adds a member for the table.
func (s *server) publish(oid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.member(oid)
}

func (s *server) member(oid uint32) {
	s.members++
	s.published[oid] = append(slices.Clone(s.published[oid]), "member "+strconv.Itoa(s.members))
}

// unpublish takes the table's first member out.
func (s *server) unpublish(oid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[oid] = s.published[oid][1:]
}

// Attend is told by the test, through waits.
func (s *server) Attend(_ context.Context, tell func(*cdc.Problem)) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = tell
	return func() {}
}

func (s *server) EnsurePublication(_ context.Context, tables []*cdc.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker.journal.add("publication")
	for _, t := range tables {
		if t.OID == s.owned && len(s.published[t.OID]) == 0 {
			return fmt.Errorf("%w: must be owner of table %s. Try, as the tables' owner: ADD TABLE", cdc.ErrRefused, t.Name)
		}
	}
	if s.published == nil {
		s.published = map[uint32]cdc.PublishedBy{}
	}
	for _, t := range tables {
		if len(s.published[t.OID]) == 0 {
			s.member(t.OID)
		}
	}
	if s.ensured != nil {
		s.ensured()
	}
	return nil
}

func (s *server) DropSlot(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker.journal.add("drop slot")
	if s.dropErr == nil {
		s.slot = nil
	}
	return s.dropErr
}

func (s *server) CreateSlot(context.Context) (cdc.LSN, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker.journal.add("slot")
	if s.slotErr != nil {
		return 0, s.slotErr
	}
	s.slot = &cdc.SlotStatus{Plugin: "pgoutput", Database: s.identity.Database, ConfirmedFlush: s.identity.Flushed, WALStatus: "reserved"}
	return s.identity.Flushed, nil
}

func text(s string) cdc.Tuple { return cdc.Tuple{{Kind: cdc.DatumText, Data: []byte(s)}} }

func insert(oid uint32, v string) cdc.Event {
	return cdc.Event{Kind: cdc.EventInsert, Relation: oid, New: text(v)}
}
func update(oid uint32, v string) cdc.Event {
	return cdc.Event{Kind: cdc.EventUpdate, Relation: oid, New: text(v)}
}
func rekey(oid uint32, old, v string) cdc.Event {
	return cdc.Event{Kind: cdc.EventUpdate, Relation: oid, OldKind: cdc.OldKey, Old: text(old), New: text(v)}
}
func remove(oid uint32, v string) cdc.Event {
	return cdc.Event{Kind: cdc.EventDelete, Relation: oid, OldKind: cdc.OldKey, Old: text(v)}
}
func truncate(oids ...uint32) cdc.Event { return cdc.Event{Kind: cdc.EventTruncate, Relations: oids} }

func (s *server) Stream(_ context.Context, from cdc.LSN, _ bool) (cdc.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker.journal.add("stream from %s", from)
	first := slices.IndexFunc(s.ends, func(end cdc.LSN) bool { return end > from })
	if first < 0 {
		first = len(s.log)
	}
	st := &fakeStream{s: s, at: first, first: first, signal: make(chan struct{}, 1), stalled: s.stall}
	s.streams = append(s.streams, st)
	return st, nil
}

type fakeStream struct {
	s      *server
	at     int // the next event of the log
	first  int
	signal chan struct{}

	mu            sync.Mutex
	woken, nudged bool
	closed        bool
	broken        error
	stalled       int // deliver no more than that many events; 0 is all
}

func (f *fakeStream) poke() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

var errClosedStream = errors.New("closed")

func (f *fakeStream) Next(ctx context.Context) (*cdc.Event, error) {
	for {
		if e, err := f.next(); e != nil || err != nil {
			return e, err
		}
		<-f.signal
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

func (f *fakeStream) next() (*cdc.Event, error) {
	f.s.mu.Lock()
	events, end := f.s.log, f.s.identity.Flushed
	f.s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	stalled := f.stalled > 0 && f.at-f.first >= f.stalled
	switch {
	case f.closed || f.broken != nil:
		return nil, errors.Join(errClosedStream, f.broken)
	case f.woken:
		f.woken = false
		return &cdc.Event{Kind: cdc.EventWake}, nil
	case f.at < len(events) && !stalled:
		f.at++
		return &events[f.at-1], nil
	case f.nudged:
		f.nudged = false
		if stalled {
			end = 1 << 40 // a lie, to see that it is not believed inside a transaction
		}
		return &cdc.Event{Kind: cdc.EventKeepalive, WALEnd: end, ServerTime: time.Now().UnixMicro()}, nil
	}
	return nil, nil
}

func (f *fakeStream) stall(after int) {
	f.mu.Lock()
	f.stalled = after
	f.mu.Unlock()
	f.poke()
}

func (f *fakeStream) fail(err error) {
	f.mu.Lock()
	f.broken = err
	f.mu.Unlock()
	f.poke()
}

func (f *fakeStream) Report(d cdc.Durable) {
	_, state := f.s.broker.snapshot()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	lsn := d.Point().Reported
	f.s.early = f.s.early || lsn > state.Point.Reported
	f.s.slot.ConfirmedFlush = max(f.s.slot.ConfirmedFlush, lsn)
}

func (f *fakeStream) Wake() {
	f.mu.Lock()
	f.woken = true
	f.mu.Unlock()
	f.poke()
}

func (f *fakeStream) Nudge() error {
	f.mu.Lock()
	f.nudged = true
	f.mu.Unlock()
	f.poke()
	return nil
}

func (f *fakeStream) Close(context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.poke()
	return nil
}

// newest gives the stream opened last; ok is false before the first.
func (s *server) newest() (st *fakeStream, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) == 0 {
		return nil, false
	}
	return s.streams[len(s.streams)-1], true
}

func body(i int) string { return "row " + strconv.Itoa(i) }

// opened counts the streams so far.
func (s *server) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}
