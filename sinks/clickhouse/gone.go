package clickhouse

import (
	"context"
	"fmt"
	"maps"

	"dirtbike/cdc"
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
	open      uint8
}

// rowGone notes that the row of a key is not there.
func (l *Loader) rowGone(p *partition, key []byte, at cdc.Position) {
	if p.gone == nil {
		p.gone = map[string]goneMark{}
	}
	p.gone[string(key)] = goneMark{from: at}
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: string(key), version: at, open: 1})
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
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: key, version: at, open: 0})
}

// isGone reports whether a record without its unchanged columns belongs to a row that is known to be missing in a generation.
func (p *partition) isGone(g *generation, key []byte, at cdc.Position) bool {
	m, ok := p.gone[string(key)]
	return ok && m.covers(at) && !g.below(p.id, m.from)
}

// outliveGone closes the marks below the cut of the generation that the view shows now. The batch must be empty. It follows
// the view: a table must not be called exact while the view still lacks a row.
func (l *Loader) outliveGone(ctx context.Context, t *topic) error {
	if err := l.forgetFormer(ctx, t); err != nil {
		return err
	}
	shown := t.generation(t.shown)
	var rows [][]any
	for _, p := range t.parts {
		for key, m := range p.gone {
			if shown.below(p.id, m.from) {
				rows = append(rows, goneRow{partition: p, key: key, version: shown.ends[p.id].cut}.columns())
			}
		}
	}
	if err := l.insertRows(ctx, "gone", rows); err != nil {
		return err
	}
	for _, p := range t.parts {
		maps.DeleteFunc(p.gone, func(_ string, m goneMark) bool { return shown.below(p.id, m.from) })
	}
	return nil
}

// forgetFormer closes the marks of former topics of the name once the view shows a complete copy of this one.
func (l *Loader) forgetFormer(ctx context.Context, t *topic) error {
	if shown := t.generations[t.shown]; shown == nil || len(shown.ends) < int(t.partitions) {
		return nil
	}
	gone := l.raw("gone")
	if err := l.conn.Exec(ctx, "INSERT INTO "+gone+" SELECT `table`, topic_id, partition, key, version + 1, 0 FROM "+gone+" FINAL WHERE `table` = "+literal(t.table)+
		" AND topic_id != "+literal(t.id.String())+" AND open = 1"); err != nil {
		return fmt.Errorf("close the missing rows of the former topic of %s: %w", t.table, err)
	}
	return nil
}

// writeGone stores the batch's marks.
func (l *Loader) writeGone(ctx context.Context) error {
	var rows [][]any
	for _, g := range l.batch.gone {
		rows = append(rows, g.columns())
	}
	return l.insertRows(ctx, "gone", rows)
}

func (g goneRow) columns() []any {
	p := g.partition
	return []any{p.topic.table, p.topic.id, uint32(p.id), g.key, bigVersion(g.version), g.open} //nolint:gosec // never negative
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
	rows, err := l.conn.Query(ctx, "SELECT partition, key, toUInt64(bitShiftRight(version, 64)), toUInt64(bitAnd(version, toUInt128(18446744073709551615))) FROM "+
		l.raw("gone")+" FINAL WHERE topic_id = "+literal(t.id.String())+" AND open = 1")
	if err != nil {
		return fmt.Errorf("read the missing rows of %s: %w", t.table, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	for rows.Next() {
		var id uint32
		var key string
		var high, low uint64
		if err := rows.Scan(&id, &key, &high, &low); err != nil {
			return fmt.Errorf("read the missing rows of %s: %w", t.table, err)
		}
		p := t.parts[int32(id)]
		if p == nil {
			continue
		}
		if p.gone == nil {
			p.gone = map[string]goneMark{}
		}
		p.gone[key] = goneMark{from: cdc.PositionFromHalves(high, low)}
	}
	return rows.Err()
}
