package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// source is a model of Postgres and of a capture that dies and goes on: random transactions over few keys, whose
// records reach the topics later, and copies. Its history says what each table held after every change.
type source struct {
	*world
	rng      *rand.Rand
	tables   []*modelTable
	reported cdc.LSN // of the last progress record
	queue    []*sourceTx
	counter  int
	lossy    bool // some changes were never published

	mu      sync.Mutex
	history []moment
}

// moment is what the tables held after a change; lsn is the end of its commit. A view may show any change of a
// transaction that is not claimed to be complete.
type moment struct {
	lsn  cdc.LSN
	rows []map[int]string // by table, then key: the row as the view gives it
}

type modelTable struct {
	*sourceTable
	rows  map[int]modelRow
	leaf  bool // rows live in partitions of the source's table
	toast bool
	// lost says that capture does not publish the table's changes.
	lost bool
	said cdc.TableProgress
}

type modelRow struct {
	n   int
	doc string
}

type sourceTx struct {
	*tx
	lsn cdc.LSN
}

const (
	modelKeys  = 6
	commitSize = 0x20 // from a commit's start to its end
)

func newSource(w *world, rng *rand.Rand) *source {
	s := &source{world: w, rng: rng, reported: w.lsn}
	doc := schemas.Column{Name: "doc", Type: plain(schemas.KindText), Toastable: true}
	columns := func() []schemas.Column {
		return []schemas.Column{plainColumn("id", schemas.KindInt4, true), plainColumn("n", schemas.KindInt4, false), doc}
	}
	s.tables = []*modelTable{
		{sourceTable: w.table("docs", 3, cdc.IdentityDefault, []int{0}, columns()...), toast: true},
		{sourceTable: w.table("parts", 2, cdc.IdentityDefault, []int{0}, columns()...), toast: true, leaf: true},
		{sourceTable: w.table("full", 2, cdc.IdentityFull, []int{0}, columns()...)},
	}
	for _, t := range s.tables {
		t.rows = map[int]modelRow{}
		for k := range rng.IntN(modelKeys) {
			t.rows[k] = s.newRow()
		}
	}
	s.remember(w.lsn)
	return s
}

func (s *source) newRow() modelRow {
	s.counter++
	return modelRow{n: s.counter, doc: "doc " + strconv.Itoa(s.counter)}
}

func (r modelRow) values(key int) []string {
	return []string{strconv.Itoa(key), strconv.Itoa(r.n), r.doc}
}

func (s *source) remember(lsn cdc.LSN) {
	m := moment{lsn: lsn}
	for _, t := range s.tables {
		rows := map[int]string{}
		for k, r := range t.rows {
			rows[k] = fmt.Sprintf("%d\t%s", r.n, r.doc)
		}
		m.rows = append(m.rows, rows)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, m)
}

func (t *modelTable) leafOf(key int) uint32 {
	if !t.leaf {
		return 0
	}
	return 100 + uint32(key%2)
}

// transact commits a random transaction at the source; its records are queued.
func (s *source) transact() {
	x := &sourceTx{tx: s.begin()}
	x.lsn = x.at.CommitLSN
	for range 1 + s.rng.IntN(5) {
		s.change(x, s.tables[s.rng.IntN(len(s.tables))])
		s.remember(x.lsn + commitSize)
	}
	s.queue = append(s.queue, x)
}

// change makes one random change and its record.
func (s *source) change(x *sourceTx, t *modelTable) {
	key := s.rng.IntN(modelKeys)
	m := x.meta(t.sourceTable)
	m.Leaf = t.leafOf(key)
	old, there := t.rows[key]
	row := s.newRow()
	var err error
	switch dice := s.rng.IntN(20); {
	case dice == 0:
		err = s.truncate(x, t, m)
	case !there:
		t.rows[key] = row
		if !t.lost {
			err = t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpCreate, New: tuple(row.values(key)...)})
		}
	case dice < 6:
		delete(t.rows, key)
		if !t.lost {
			err = t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpDelete, OldKind: s.oldKind(t), Old: tuple(old.values(key)...)})
		}
	default:
		err = s.update(x, t, m, key, row)
	}
	require.NoError(s.t, err)
}

func (s *source) oldKind(t *modelTable) cdc.OldKind {
	if t.toast {
		return cdc.OldKey
	}
	return cdc.OldFull
}

// update changes a row, sometimes its key too, and sometimes leaves the TOASTed value out.
func (s *source) update(x *sourceTx, t *modelTable, m *cdc.Meta, key int, row modelRow) error {
	x.at.Ordinal++
	old, target := t.rows[key], (key+2)%modelKeys
	if _, taken := t.rows[target]; !taken && s.rng.IntN(4) == 0 {
		delete(t.rows, key)
		t.rows[target] = row
		if t.lost {
			return nil
		}
		return t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpUpdate, XID: m.XID, OldKind: s.oldKind(t), Old: tuple(old.values(key)...), New: tuple(row.values(target)...)})
	}
	sent := row.values(key)
	if t.toast && s.rng.IntN(3) > 0 {
		row.doc, sent[2] = old.doc, `\U`
	}
	t.rows[key] = row
	if t.lost {
		return nil
	}
	if t.toast {
		return t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpUpdate, XID: m.XID, New: tuple(sent...)})
	}
	return t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpUpdate, XID: m.XID, OldKind: cdc.OldFull, Old: tuple(old.values(key)...), New: tuple(sent...)})
}

func (s *source) truncate(x *sourceTx, t *modelTable, m *cdc.Meta) error {
	if m.Leaf != 0 && s.rng.IntN(2) == 0 {
		m.Leaf = 0
	}
	for k := range t.rows {
		if m.Leaf == 0 || t.leafOf(k) == m.Leaf {
			delete(t.rows, k)
		}
	}
	if t.lost {
		return nil
	}
	x.control(t.sourceTable, m, cdc.ControlTruncate)
	return nil
}

// publish sends queued transactions on, as capture does: alone, several in one Kafka transaction, or one split over
// two; a first attempt may fail.
func (s *source) publish(most int) {
	for most > 0 && len(s.queue) > 0 {
		n := min(1+s.rng.IntN(3), most, len(s.queue))
		var records []*kgo.Record
		for _, x := range s.queue[:n] {
			records = append(records, x.records()...)
		}
		last := s.queue[n-1]
		s.queue, most = s.queue[n:], most-n
		if s.rng.IntN(8) == 0 {
			s.produce(copies(records), false)
		}
		if split := s.rng.IntN(len(records) + 1); n == 1 && s.rng.IntN(4) == 0 {
			s.part(records[:split])
			records = records[split:]
		}
		s.commitAt(records, last.lsn)
	}
}

func copies(records []*kgo.Record) []*kgo.Record {
	var out []*kgo.Record
	for _, r := range records {
		out = append(out, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Context: r.Context})
	}
	return out
}

// part commits records without a progress record: a part of a split transaction.
func (s *source) part(records []*kgo.Record) {
	require.NoError(s.t, s.kc.BeginTransaction())
	s.produceRows(records, true)
	require.NoError(s.t, s.kc.EndTransaction(s.ctx, kgo.TryCommit))
}

// commitAt produces records with a progress record that reaches to the end of the commit at lsn.
func (s *source) commitAt(records []*kgo.Record, lsn cdc.LSN) {
	s.full = s.full || s.rng.IntN(10) == 0 // a capture that started again
	if s.full {
		for _, t := range s.tables {
			s.world.tables[t.rel.FullName()] = t.said
		}
	}
	hold := s.lsn
	s.lsn, s.reported = lsn, lsn
	s.produce(records, true)
	s.lsn = hold
}

func (s *source) say(t *modelTable, phase cdc.TablePhase) {
	t.said = cdc.TableProgress{Phase: phase, Generation: t.gen, Controls: t.number, Topic: t.topic.Name, Partitions: t.topic.Partitions}
	s.world.tables[t.rel.FullName()] = t.said
}

// lose makes capture miss the table's changes from here on.
func (s *source) lose(t *modelTable) {
	s.publish(len(s.queue))
	s.lossy, t.lost = true, true
	s.say(t, []cdc.TablePhase{cdc.TableQuarantined, cdc.TableExcluded}[s.rng.IntN(2)])
	s.commitAt(nil, s.reported)
}

// copy takes new generations of the tables, of which some attempts die; the log is followed after the last end.
func (s *source) copy(tables ...*modelTable) {
	for {
		x := &tx{w: s.world, at: cdc.Position{Epoch: 1, CommitLSN: s.reported}}
		for _, t := range tables {
			t.lost = false
			x.open(t.sourceTable)
			s.say(t, cdc.TableCopying)
		}
		s.commitAt(x.records(), s.reported)
		for range s.rng.IntN(3) {
			s.transact()
		}
		if s.copyRows(tables) {
			return
		}
	}
}

// copyRows copies what the tables hold now; it reports false if it died on the way.
func (s *source) copyRows(tables []*modelTable) bool {
	cut := cdc.Position{Epoch: 1, CommitLSN: s.lsn + cdc.LSN(1+s.rng.IntN(0x100))} // up to the next commit's own LSN
	for _, t := range tables {
		x := &tx{w: s.world, at: cut}
		for k, r := range t.rows {
			m := x.metaAt(t.sourceTable, cut)
			m.Leaf = t.leafOf(k)
			require.NoError(s.t, t.enc.Append(s.ctx, &x.chunk, m, cdc.RowChange{Op: cdc.OpRead, New: tuple(r.values(k)...)}))
		}
		rows := x.records()
		half := s.rng.IntN(len(rows) + 1)
		s.commitAt(rows[:half], s.reported)
		if s.rng.IntN(4) == 0 {
			return false
		}
		if s.rng.IntN(3) == 0 {
			s.publish(s.rng.IntN(3)) // below the cut, before the end
		}
		s.commitAt(append(copies(rows[:s.rng.IntN(half+1)]), rows[half:]...), s.reported) // some twice
		x = &tx{w: s.world, at: cut}
		x.end(t.sourceTable, cut)
		s.say(t, cdc.TableStreaming)
		s.commitAt(x.records(), s.reported)
	}
	return true
}

// step does something at random.
func (s *source) step() {
	t := s.tables[s.rng.IntN(len(s.tables))]
	switch dice := s.rng.IntN(30); {
	case dice < 18:
		s.transact()
		s.publish(s.rng.IntN(4))
	case dice < 21:
		s.publish(len(s.queue))
		s.lsn += 0x100
		s.commitAt(nil, s.lsn)
	case dice < 23:
		if !t.lost {
			s.lose(t)
		}
	case dice < 27:
		s.copy(t)
	default:
		s.transact()
	}
}

// finish publishes everything and gives lost tables a copy.
func (s *source) finish() {
	for _, t := range s.tables {
		if t.lost {
			s.copy(t)
		}
	}
	s.publish(len(s.queue))
	s.lsn += 0x100
	s.commitAt(nil, s.lsn)
}
