package clickhouse

import (
	"context"
	"maps"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/ledger"
)

// Rule 17: when a key changed and the row was gone before capture could re-read its unchanged columns, the create comes marked
// `gone`. Load skips it, and the table is not exact until the delete or TRUNCATE that took the row away arrives, or the view
// shows a newer generation, whose copy began behind the create, or one of another topic of that name.
//
// The marks live in `gone`, one row a key, the highest version wins; they are written with the batch, before its applied
// offsets. In memory a mark that was closed stays until its batch is applied, because records of the key that lie between are
// completed only then.

// goneRow is a row of `gone`.
type goneRow struct {
	partition *apply.Partition
	key       string
	version   cdc.Position
	open      bool
}

// rowGone notes that the row of a key is not there.
func (l *Loader) rowGone(p *apply.Partition, key []byte, at cdc.Position) {
	if p.Missing == nil {
		p.Missing = map[string]apply.Missing{}
	}
	p.Missing[string(key)] = apply.Missing{From: at}
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: string(key), version: at, open: true})
}

// rowDeleted notes that the key's delete has come.
func (l *Loader) rowDeleted(p *apply.Partition, key []byte, at cdc.Position) {
	if m, ok := p.Missing[string(key)]; ok && m.Open() && m.From.Compare(at) < 0 {
		l.closeGone(p, string(key), m, at)
	}
}

// goneBelow closes every mark of the partition below the cut of a TRUNCATE.
func (l *Loader) goneBelow(p *apply.Partition, cut cdc.Position) {
	for key, m := range p.Missing {
		if m.Open() && m.From.Compare(cut) < 0 {
			l.closeGone(p, key, m, cut)
		}
	}
}

func (l *Loader) closeGone(p *apply.Partition, key string, m apply.Missing, at cdc.Position) {
	m.Until = at
	p.Missing[key] = m
	l.batch.gone = append(l.batch.gone, goneRow{partition: p, key: key, version: at})
}

// outliveGone closes the marks below the cut of the generation that the view shows now. The batch must be empty. It follows
// the view: a table must not be called exact while the view still lacks a row.
func (l *Loader) outliveGone(ctx context.Context, t *apply.Topic) error {
	shown := t.Generation(t.Shown)
	if len(shown.Ends) >= int(t.Partitions) { // the view shows a complete copy of this topic
		if err := l.ledger.CloseMissingOfOtherTopics(ctx, t.Table, t.ID); err != nil {
			return err
		}
	}
	var rows []ledger.MissingRow
	for _, p := range t.Parts {
		for key, m := range p.Missing {
			if shown.Below(p.ID, m.From) {
				rows = append(rows, goneRow{partition: p, key: key, version: shown.Ends[p.ID].Cut}.row())
			}
		}
	}
	if err := l.ledger.WriteMissingRows(ctx, rows); err != nil {
		return err
	}
	for _, p := range t.Parts {
		maps.DeleteFunc(p.Missing, func(_ string, m apply.Missing) bool { return shown.Below(p.ID, m.From) })
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
	return ledger.MissingRow{Table: p.Topic.Table, TopicID: p.Topic.ID, Partition: p.ID, Key: g.key, Version: g.version, Open: g.open}
}

// forgetGone drops the marks that the applied batch has closed.
func (b *batch) forgetGone() {
	for _, g := range b.gone {
		if m, ok := g.partition.Missing[g.key]; ok && !m.Open() {
			delete(g.partition.Missing, g.key)
		}
	}
}

// loadGone reads the open marks of the topic's partitions that are assigned here.
func (l *Loader) loadGone(ctx context.Context, t *apply.Topic) error {
	rows, err := l.ledger.MissingRows(ctx, t.ID)
	for _, row := range rows {
		p := t.Parts[row.Partition]
		if p == nil {
			continue
		}
		if p.Missing == nil {
			p.Missing = map[string]apply.Missing{}
		}
		p.Missing[row.Key] = apply.Missing{From: row.Version}
	}
	return err
}
