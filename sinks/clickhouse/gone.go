package clickhouse

import (
	"context"
	"maps"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// Rule 17: when a key changed and the row was gone before capture could re-read its unchanged columns, the create comes marked
// `gone`. Load skips it, and the table is not exact until the delete or TRUNCATE that took the row away arrives, or the view
// shows a newer generation, whose copy began behind the create, or one of another topic of that name.
//
// The marks live in `gone`, one row a key, the highest version wins; they are written with the batch, before its applied
// offsets. In memory a mark that was closed stays until its batch is applied, because records of the key that lie between are
// completed only then.

// goneMark is one key of a partition whose row is missing from `from` until `until`; a zero `until` means still.
type goneMark struct{ from, until cdc.Position }

func (m goneMark) open() bool { return m.until.IsZero() }

// covers reports whether a record of the key at this position belongs to the missing row.
func (m goneMark) covers(at cdc.Position) bool {
	return m.from.Compare(at) < 0 && (m.open() || at.Compare(m.until) < 0)
}

// goneRow is a row of `gone`.
type goneRow struct {
	partition *partition
	key       string
	version   cdc.Position
	open      bool
}

// rowGone notes that the row of a key is not there.
func (l *Loader) rowGone(p *partition, key []byte, at cdc.Position) {
	if p.gone == nil {
		p.gone = map[string]goneMark{}
	}
	p.gone[string(key)] = goneMark{from: at}
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: string(key), version: at, open: true})
}

// rowDeleted notes that the key's delete has come.
func (l *Loader) rowDeleted(p *partition, key []byte, at cdc.Position) {
	if m, ok := p.gone[string(key)]; ok && m.open() && m.from.Compare(at) < 0 {
		l.closeGone(p, string(key), m, at)
	}
}

// goneBelow closes every mark of the partition below the cut of a TRUNCATE.
func (l *Loader) goneBelow(p *partition, cut cdc.Position) {
	for key, m := range p.gone {
		if m.open() && m.from.Compare(cut) < 0 {
			l.closeGone(p, key, m, cut)
		}
	}
}

func (l *Loader) closeGone(p *partition, key string, m goneMark, at cdc.Position) {
	m.until = at
	p.gone[key] = m
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: key, version: at})
}

// isGone reports whether a record without its unchanged columns belongs to a row that is known to be missing in a generation.
func (p *partition) isGone(g *generation, key []byte, at cdc.Position) bool {
	m, ok := p.gone[string(key)]
	return ok && m.covers(at) && !g.below(p.id, m.from)
}

// outliveGone closes the marks below the cut of the generation that the view shows now. The batch must be empty. It follows
// the view: a table must not be called exact while the view still lacks a row.
func (l *Loader) outliveGone(ctx context.Context, t *topic) error {
	shown := t.generation(t.shown)
	if len(shown.ends) >= int(t.partitions) { // the view shows a complete copy of this topic
		if err := l.ledger.CloseMissingOfOtherTopics(ctx, t.table, t.id); err != nil {
			return err
		}
	}
	var rows []ledger.MissingRow
	for _, p := range t.parts {
		for key, m := range p.gone {
			if shown.below(p.id, m.from) {
				rows = append(rows, goneRow{partition: p, key: key, version: shown.ends[p.id].cut}.row())
			}
		}
	}
	if err := l.ledger.WriteMissingRows(ctx, rows); err != nil {
		return err
	}
	for _, p := range t.parts {
		maps.DeleteFunc(p.gone, func(_ string, m goneMark) bool { return shown.below(p.id, m.from) })
	}
	return nil
}

// writeGone stores the batch's marks.
func (l *Loader) writeGone(ctx context.Context) error {
	var rows []ledger.MissingRow
	for _, g := range l.batch.gone {
		rows = append(rows, g.row())
	}
	return l.ledger.WriteMissingRows(ctx, rows)
}

func (g goneRow) row() ledger.MissingRow {
	p := g.partition
	return ledger.MissingRow{Table: p.topic.table, TopicID: p.topic.id, Partition: p.id, Key: g.key, Version: g.version, Open: g.open}
}

// forgetGone drops the marks that the applied batch has closed.
func (b *batch) forgetGone() {
	for _, g := range b.gone {
		if m, ok := g.partition.gone[g.key]; ok && !m.open() {
			delete(g.partition.gone, g.key)
		}
	}
}

// loadGone reads the open marks of the topic's partitions that are assigned here.
func (l *Loader) loadGone(ctx context.Context, t *topic) error {
	rows, err := l.ledger.MissingRows(ctx, t.id)
	for _, row := range rows {
		p := t.parts[row.Partition]
		if p == nil {
			continue
		}
		if p.gone == nil {
			p.gone = map[string]goneMark{}
		}
		p.gone[row.Key] = goneMark{from: row.Version}
	}
	return err
}
