package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// progressFormat is the newest format of progress records that this release reads.
const progressFormat = 1

// progressRecord is the JSON of a record of the progress topic; cdc/EXACTNESS.md, "Formats".
type progressRecord struct {
	Format    int                         `json:"format"`
	Epoch     uint32                      `json:"epoch"`
	CommitLSN string                      `json:"commit_lsn"`
	Ordinal   uint32                      `json:"ordinal"`
	LSN       string                      `json:"lsn"`
	TimeUS    int64                       `json:"time_us"`
	Full      bool                        `json:"full"`
	Offsets   map[string]map[string]int64 `json:"offsets"`
	Tables    map[string]progressTable    `json:"tables"`
}

type progressTable struct {
	Phase      cdc.TablePhase `json:"phase"`
	Reason     string         `json:"reason"`
	Generation uint32         `json:"generation"`
}

// progress folds the progress topic into complete_up_to (rules 8 and 24), in the loader that has its partition. It is guarded
// by Loader.mu.
type progress struct {
	// pending are the records up to which not everything is complete, in order.
	pending []pendingRecord
	// topics maps the topic of each table that is known to its name.
	topics map[string]string
	// written is what `complete` has, by table.
	written map[string]ledger.Point
	// foreign is what other loaders have applied, as last read, to the topics of these ids; see abroad.go.
	foreign map[topicPartition]int64
	ids     map[string]uuid.UUID
	// doubted are the topics whose ids are to be asked for before what was applied to them says anything.
	doubted map[string]bool
	// asked and passed are when identify and passFormer last looked at all that something waits for.
	asked, passed time.Time
	// owned says that this loader has the partition.
	owned, paused bool
	// seek says that the log does not continue what is applied: records are passed over until a full one, of a later epoch if the topic
	// is another one; nil if it does.
	seek   *apply.Seek
	looked time.Time
}

// pendingRecord is a progress record: complete once every constraint up to it is met.
type pendingRecord struct {
	offset int64
	at     ledger.Point
	unmet  []constraint
}

type topicPartition struct {
	topic     string
	partition int32
}

// constraint: offsets below next must be applied.
type constraint struct {
	topicPartition
	next int64
}

const (
	maxPending   = 20_000                // beyond, the progress partition is paused
	lookInterval = 20 * time.Millisecond // between looks at what is applied
)

// forget ends the ownership. That the client has paused the partition it goes on to know: it stays so until it is resumed.
func (g *progress) forget() { *g = progress{paused: g.paused} }

// load begins with what `complete` has.
func (g *progress) load(ctx context.Context, l *Loader, t *apply.Topic) error {
	*g = progress{owned: true, paused: g.paused, topics: map[string]string{}, written: map[string]ledger.Point{}, foreign: map[topicPartition]int64{}, ids: map[string]uuid.UUID{}, doubted: map[string]bool{}}
	for id, p := range t.Parts {
		g.seek, p.Seek = p.Seek, nil
		if p.Applied == 0 { // so that a later session knows which topic this was, however early this one ends
			if err := l.ledger.WriteApplied(ctx, ledger.Applied{TopicID: t.ID, Topic: t.Name, Partition: id}); err != nil {
				return err
			}
		}
	}
	points, err := l.ledger.Points(ctx)
	for _, p := range points {
		if g.written[p.Table] = p; p.Table != "" {
			g.know(l, p.Table)
		}
	}
	if g.seek != nil && g.seek.Renewed {
		g.seek.Above = g.written[""].Position.Epoch
	}
	return err
}

// know guesses the topic of a table of which no record has named it; a schema with a dot in its name makes the guess wrong.
func (g *progress) know(l *Loader, table string) {
	for _, t := range g.topics {
		if t == table {
			return
		}
	}
	g.topics[l.topicOf(table)] = table
}

// named takes the topic's own word for its table, in place of a guess: nothing ever blocks a topic that does not exist.
func (g *progress) named(topic, table string) {
	if g.topics[topic] == table {
		return
	}
	maps.DeleteFunc(g.topics, func(_, t string) bool { return t == table })
	g.topics[topic] = table
}

// takeOne takes one record of the progress topic into the batch.
func (g *progress) takeOne(ctx context.Context, l *Loader, at *apply.Partition, rec *kgo.Record) error {
	var r progressRecord
	if !rec.Attrs.IsControl() {
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return fmt.Errorf("progress topic, offset %d: %w. Try: look who else writes to it", rec.Offset, err)
		}
		if r.Format > progressFormat {
			return fmt.Errorf("progress topic, offset %d: format %d, this release reads %d. Try: upgrade this one", rec.Offset, r.Format, progressFormat)
		}
	}
	if g.seek != nil {
		if found, err := g.found(ctx, l, rec, &r); err != nil || !found {
			at.Next = rec.Offset + 1
			return err
		}
	}
	l.batch.take(at, rec.Offset+1)
	if rec.Attrs.IsControl() {
		return nil
	}
	return g.take(l, rec, &r)
}

// take folds one record of the progress topic.
func (g *progress) take(l *Loader, rec *kgo.Record, r *progressRecord) error {
	p := pendingRecord{offset: rec.Offset}
	var err error
	if p.at, err = r.point(); err == nil {
		p.unmet, err = g.constraints(l, r)
	}
	if err != nil {
		return fmt.Errorf("progress topic, offset %d: %w", rec.Offset, err)
	}
	for table, s := range r.Tables {
		g.know(l, table)
		if err := l.captureSays(table, s, r.Epoch, rec.Offset); err != nil {
			return fmt.Errorf("progress topic, offset %d: %w", rec.Offset, err)
		}
	}
	if r.Full {
		if err := g.unnamed(l, r, rec.Offset); err != nil {
			return err
		}
	}
	g.pending = append(g.pending, p)
	return nil
}

// unnamed excludes the tables of a former epoch that a full record does not name: capture has lost its state since, and does not
// follow them.
func (g *progress) unnamed(l *Loader, r *progressRecord, offset int64) error {
	for table, at := range g.written {
		if _, named := r.Tables[table]; named || table == "" || at.Position.Epoch >= r.Epoch {
			continue
		}
		if err := l.captureSays(table, progressTable{Phase: cdc.TableExcluded}, r.Epoch, offset); err != nil {
			return fmt.Errorf("progress topic, offset %d: %w", offset, err)
		}
	}
	return nil
}

func (r *progressRecord) point() (p ledger.Point, err error) {
	p.Position.Epoch, p.Position.Ordinal, p.Time = r.Epoch, r.Ordinal, r.TimeUS
	if p.Position.CommitLSN, err = cdc.ParseLSN(r.CommitLSN); err != nil {
		return p, err
	}
	p.LSN, err = cdc.ParseLSN(r.LSN)
	return p, err
}

func (g *progress) constraints(l *Loader, r *progressRecord) (out []constraint, err error) {
	for topic, offsets := range r.Offsets {
		schema, table, ok := schemas.SplitTopic(topic, l.o.Prefix)
		if !ok {
			return nil, fmt.Errorf("topic %q is no table's", topic)
		}
		g.named(topic, schema+"."+table)
		for id, next := range offsets {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("topic %s: partition %q is no number", topic, id)
			}
			c := constraint{topicPartition{topic, int32(n)}, next}
			g.doubt(l, c)
			out = append(out, c)
		}
	}
	return out, nil
}

// captureSays takes over what capture says of a table in the progress record at an offset: its quarantine shows in ClickHouse, too.
func (l *Loader) captureSays(table string, s progressTable, epoch uint32, offset int64) error {
	r := ledger.Quarantine{Version: uint64(max(epoch, 1)-1)<<epochShift + uint64(offset) + 1, Generation: s.Generation} //nolint:gosec // never negative
	switch s.Phase {
	case cdc.TableQuarantined:
		r.State, r.Reason = ledger.StateSkipping, s.Reason
	case cdc.TableExcluded:
		r.State, r.Reason = ledger.StateExcluded, "source.tables no longer names it, or it was dropped"
	case cdc.TableCopying, cdc.TableStreaming:
		r.State = ledger.StateClosed
	default:
		return fmt.Errorf("table %s is in unknown phase %q: written by a newer release? Try: upgrade this one", table, s.Phase)
	}
	l.quarantines.Set(apply.QuarantineKey{Table: table, Leg: ledger.LegCapture}, r)
	return nil
}

// epochShift makes a later epoch outrank every offset of an earlier one: the progress topic may be another then.
const epochShift = 40

// done says up to which offset the progress partition counts as applied, if next is the one to read.
func (g *progress) done(next int64) int64 {
	if len(g.pending) > 0 {
		return g.pending[0].offset
	}
	return next
}

// advance writes what has become complete. It looks at other loaders' offsets at most every lookInterval.
func (g *progress) advance(ctx context.Context, l *Loader) error {
	if !g.owned || len(g.pending) == 0 || time.Since(g.looked) < lookInterval {
		return nil
	}
	g.looked = time.Now()
	if err := g.identify(ctx, l); err != nil {
		return err
	}
	if err := g.lookAbroad(ctx, l); err != nil {
		return err
	}
	if err := g.passFormer(ctx, l); err != nil {
		return err
	}
	all, blocked := g.check(l)
	var rows []ledger.Point
	add := func(table string, at ledger.Point) {
		if at.Table = table; at != g.written[table] {
			rows = append(rows, at)
			g.written[table] = at
		}
	}
	for topic, table := range g.topics {
		index, is := blocked[topic]
		if !is {
			index = len(g.pending)
		}
		if index > 0 {
			add(table, g.pending[index-1].at)
		}
	}
	if all > 0 {
		add("", g.pending[all-1].at)
	}
	g.pending = slices.Delete(g.pending, 0, all)
	return l.retry(ctx, "write what is complete", func(ctx context.Context) error { return l.ledger.WritePoints(ctx, rows) })
}

// check drops the constraints that are met. all counts the records that are complete for everything; blocked has, by topic, the
// index of the first record that is not complete for it.
func (g *progress) check(l *Loader) (all int, blocked map[string]int) {
	blocked = map[string]int{}
	all = len(g.pending)
	for i := range g.pending {
		p := &g.pending[i]
		p.unmet = slices.DeleteFunc(p.unmet, func(c constraint) bool { return !g.doubted[c.topic] && g.applied(l, c.topicPartition) >= c.next })
		for _, c := range p.unmet {
			if _, is := blocked[c.topic]; !is {
				blocked[c.topic] = i
			}
			all = min(all, i)
		}
	}
	return all, blocked
}

func (g *progress) applied(l *Loader, at topicPartition) int64 {
	if t := l.topics[at.topic]; t != nil {
		if p := t.Parts[at.partition]; p != nil {
			return p.Applied
		}
	}
	return g.foreign[at]
}

// throttle pauses the progress partition while too many records wait.
func (g *progress) throttle(kc *kgo.Client, topic string) {
	switch {
	case !g.paused && len(g.pending) >= maxPending:
		kc.PauseFetchTopics(topic)
		g.paused = true
	case g.paused && len(g.pending) < maxPending/2:
		kc.ResumeFetchTopics(topic)
		g.paused = false
	}
}
