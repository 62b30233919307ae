package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dirtbike/cdc"
)

// record is one committed record as a reader sees it.
type record struct {
	Topic      string
	Partition  int32
	Op         string
	Position   cdc.Position
	Generation uint32
	Body       string
}

func (r record) String() string {
	return fmt.Sprintf("%s/%d %s %s g%d %.10s", r.Topic, r.Partition, r.Op, r.Position, r.Generation, r.Body)
}

// broker is what outlives a capture: committed records and state. Its sinks fence each other.
type broker struct {
	mu      sync.Mutex
	epoch   int
	records []record
	numbers []uint32 // of records: that of the last control before it, or its own
	state   cdc.State
	points  []cdc.Point
	times   []time.Time // of points
	journal *journal
	// fail is asked at each named point ("write", "before", "after") and may break it; nil never does.
	fail func(point string) error
	// late sinks keep every chunk until Commit.
	late bool
	held int           // the most chunks that a sink held
	slow time.Duration // what each Write takes
	// committed is signalled after every commit.
	committed chan struct{}
	made      string           // the topic that was deleted
	unfit     map[string]error // what EnsureTopic says of topics
	slowTopic time.Duration    // what each EnsureTopic takes
	overlaps  atomic.Bool      // a sink had two users at once
}

// journal is the order in which sink and source saw what happened.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func newBroker() *broker {
	return &broker{journal: &journal{}, committed: make(chan struct{}, 1), state: cdc.State{Tables: map[string]cdc.TableState{}}}
}

func (b *broker) snapshot() (records []record, state cdc.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.records), b.copyState()
}

// history gives the committed points and when they were committed.
func (b *broker) history() ([]cdc.Point, []time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.points), slices.Clone(b.times)
}

func (b *broker) copyState() cdc.State {
	s := b.state
	s.Tables = maps.Clone(b.state.Tables)
	return s
}

// until waits for a commit after which ok holds.
func (b *broker) until(t *testing.T, ok func(s cdc.State, r []record) bool) {
	t.Helper()
	for {
		records, state := b.snapshot()
		if ok(state, records) {
			return
		}
		select {
		case <-b.committed:
		case <-t.Context().Done():
			t.Fatalf("never happened; state %+v\n%s", state, strings.Join(b.journal.all(), "\n"))
		}
	}
}

// fakeSink is a transactional sink over a broker.
type fakeSink struct {
	b           *broker
	epoch       int
	open        []record
	openNumbers []uint32
	chunks      []*cdc.Chunk
	broken      error
	closed      bool
	used        atomic.Bool
}

// alone notes another user at the same time. The caller calls done.
func (s *fakeSink) alone() (done func()) {
	if !s.used.CompareAndSwap(false, true) {
		s.b.overlaps.Store(true)
	}
	return func() { s.used.Store(false) }
}

var errLost = errors.New("the connection broke")

func (b *broker) sink() *fakeSink { return &fakeSink{b: b, broken: errors.New("not recovered")} }

func (s *fakeSink) Peek(context.Context) (*cdc.State, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return nil, errors.New("the sink is closed")
	}
	state := s.b.copyState()
	if state.Source.Phase == cdc.PhaseNone {
		return nil, nil
	}
	return &state, nil
}

func (s *fakeSink) Recover(context.Context) (*cdc.State, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return nil, errors.New("the sink is closed")
	}
	s.b.epoch++
	s.epoch, s.open, s.openNumbers, s.broken = s.b.epoch, nil, nil, nil
	s.release()
	state := s.b.copyState()
	return &state, nil
}

func (s *fakeSink) EnsureTopic(_ context.Context, t *cdc.Topic) (created bool, err error) {
	defer s.alone()()
	time.Sleep(s.b.slowTopic) // on the bubble's clock
	s.b.journal.add("topic %s", t.Name)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.b.made == t.Name, s.b.unfit[t.Name]
}

// Unfit says what EnsureTopic would.
func (s *fakeSink) Unfit(_ context.Context, topics []*cdc.Topic) (map[string]error, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	out := map[string]error{}
	for _, t := range topics {
		switch {
		case t.Name == s.b.made:
			out[t.Name] = cdc.ErrNoTopic
		case s.b.unfit[t.Name] != nil:
			out[t.Name] = s.b.unfit[t.Name]
		}
	}
	return out, nil
}

func (s *fakeSink) usable(point string) error {
	if s.broken != nil {
		return s.broken
	}
	if s.epoch != s.b.epoch {
		s.broken = cdc.ErrFenced
	} else if s.b.fail != nil {
		s.broken = s.b.fail(point)
	}
	return s.broken
}

func (s *fakeSink) Write(_ context.Context, c *cdc.Chunk) (cdc.Accepted, error) {
	defer s.alone()()
	time.Sleep(s.b.slow) // on the bubble's clock
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if err := s.usable("write"); err != nil {
		return cdc.Accepted{}, err
	}
	for i, r := range c.Records {
		op, generation, _ := strings.Cut(string(c.Key(i)), " ")
		var g, n uint32
		if _, err := fmt.Sscan(generation, &g, &n); err != nil {
			return cdc.Accepted{}, err
		}
		s.open = append(s.open, record{r.Topic.Name, r.Partition, op, r.Position, g, string(c.Value(i))})
		s.openNumbers = append(s.openNumbers, n)
	}
	s.chunks = append(s.chunks, c)
	s.b.held = max(s.b.held, len(s.chunks))
	n, bytes := len(c.Records), len(c.Bytes)
	if !s.b.late {
		s.release()
	}
	return cdc.AcceptedRecords(int64(n), int64(bytes)), nil
}

func (s *fakeSink) release() {
	for _, c := range s.chunks {
		c.Release()
	}
	s.chunks = nil
}

func (s *fakeSink) Commit(_ context.Context, p cdc.Point, changed ...cdc.StateChange) (cdc.Durable, error) {
	defer s.alone()()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if err := s.usable("before"); err != nil {
		return cdc.Durable{}, err
	}
	s.b.journal.add("%s", describe(s.open, p, changed))
	s.b.records, s.b.numbers = append(s.b.records, s.open...), append(s.b.numbers, s.openNumbers...)
	s.b.state.Point = p
	s.b.points, s.b.times = append(s.b.points, p), append(s.b.times, time.Now())
	for _, c := range changed {
		switch c := c.(type) {
		case cdc.SourceState:
			s.b.state.Source = c
		case cdc.TableState:
			s.b.state.Tables[c.Name()] = c
		}
	}
	s.open, s.openNumbers = nil, nil
	select {
	case s.b.committed <- struct{}{}:
	default:
	}
	if err := s.usable("after"); err != nil { // durable, but the answer is lost
		return cdc.Durable{}, err
	}
	s.release()
	return cdc.DurableAt(p), nil
}

func describe(open []record, p cdc.Point, changed []cdc.StateChange) string {
	var parts []string
	for _, c := range changed {
		switch c := c.(type) {
		case cdc.SourceState:
			parts = append(parts, "source="+string(c.Phase))
		case cdc.TableState:
			parts = append(parts, fmt.Sprintf("%s=%s/%d", c.Table, c.Phase, c.Generation))
		}
	}
	slices.Sort(parts)
	ops := map[string]int{}
	for _, r := range open {
		ops[r.Op]++
	}
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		parts = append(parts, fmt.Sprintf("%d×%s", ops[op], op))
	}
	return fmt.Sprintf("commit %s %s", p.Reported, strings.Join(parts, " "))
}

func (s *fakeSink) Close(context.Context) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.open, s.openNumbers, s.closed, s.broken = nil, nil, true, errors.New("the sink is closed")
	s.release()
	return nil
}

// fakeTables knows tables by a list and encodes rows as their text.
type fakeTables struct {
	list       []*cdc.Table
	server     *server
	unmatched  []error
	unselected []uint32
	called     map[uint32]string // names of unselected ones; others are "public.a", "public.b", …
	err        error
	unknown    map[uint32]error // of Encoder
	mismatch   map[uint32]error
	drift      atomic.Pointer[map[uint32]error]
	blind      atomic.Bool // Drift hangs
	reread     func()      // what a row "?" waits for
}

func newTable(oid uint32, name string) *cdc.Table {
	return &cdc.Table{
		OID: oid, Schema: "public", Name: name, Topic: &cdc.Topic{Name: "p.public." + name, Partitions: 2},
		KeyPrint: "k", PolicyPrint: "p", Shape: "s", Binary: true,
	}
}

func (f *fakeTables) List(context.Context) ([]*cdc.Table, error) {
	for _, t := range f.list {
		t.Described, _ = f.server.reach()
	}
	return f.list, f.err
}

func (f *fakeTables) UnmatchedNames() []error { return f.unmatched }

func (f *fakeTables) UnselectedTables() map[uint32]string {
	names := map[uint32]string{}
	for _, oid := range f.unselected {
		names[oid] = cmp.Or(f.called[oid], "public."+string(rune('a'+oid-1)))
	}
	return names
}

func (f *fakeTables) Encoder(_ context.Context, t *cdc.Table) (cdc.TableEncoder, error) {
	return &fakeEncoder{t: t, reread: f.reread}, f.unknown[t.OID]
}

func (f *fakeTables) Match(t *cdc.Table, _ *cdc.WireRelation) error { return f.mismatch[t.OID] }

func (f *fakeTables) Drift(ctx context.Context) (map[uint32]error, error) {
	if f.blind.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if found := f.drift.Load(); found != nil {
		return *found, nil
	}
	return nil, nil
}

// fakeEncoder writes "op generation controls" as key and the row's only column as value. A row "!" cannot be carried,
// "@" means that a server did not answer, "?" is re-read.
type fakeEncoder struct {
	cdc.TableEncoder // nil: nothing stores images yet
	t                *cdc.Table
	reread           func()
}

var errValue = errors.New("column v cannot be carried")

func (e *fakeEncoder) append(c *cdc.Chunk, m *cdc.Meta, partition int32, op string, p cdc.Position, body string) {
	r := cdc.Record{Topic: e.t.Topic, Partition: partition, Key: len(c.Bytes), Position: p}
	c.Bytes = fmt.Appendf(c.Bytes, "%s %d %d", op, m.Generation, m.Controls)
	r.Value = len(c.Bytes)
	c.Bytes = append(c.Bytes, body...)
	r.End = len(c.Bytes)
	c.Records = append(c.Records, r)
}

func (e *fakeEncoder) row(c *cdc.Chunk, m *cdc.Meta, op string, p cdc.Position, row cdc.Tuple) error {
	body := string(row[0].Data)
	switch body {
	case "!":
		return errValue
	case "@":
		return cdc.ErrUnreachable
	case "?":
		if e.reread != nil {
			e.reread()
		}
	}
	e.append(c, m, int32(len(body)%2), op, p, body)
	return nil
}

func (e *fakeEncoder) Append(_ context.Context, c *cdc.Chunk, m *cdc.Meta, ch cdc.RowChange) error {
	second := m.Position
	second.Ordinal++
	switch {
	case ch.Op == cdc.OpDelete:
		return e.row(c, m, "d", m.Position, ch.Old)
	case ch.Op != cdc.OpUpdate:
		return e.row(c, m, string(ch.Op), m.Position, ch.New)
	case ch.OldKind == cdc.OldNone:
		return e.row(c, m, "u", second, ch.New)
	}
	if err := e.row(c, m, "d", m.Position, ch.Old); err != nil {
		return err
	}
	return e.row(c, m, "c", second, ch.New)
}

// Control stands for a record of the control topic by one in each partition.
func (e *fakeEncoder) Control(c *cdc.Chunk, m *cdc.Meta, kind cdc.ControlKind) {
	op := map[cdc.ControlKind]string{cdc.ControlTruncate: "t", cdc.ControlOpen: "open", cdc.ControlEnd: "end"}[kind]
	for p := range e.t.Topic.Partitions {
		e.append(c, m, p, op, m.Position, "")
	}
}
