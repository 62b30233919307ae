package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"go.uber.org/zap"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
)

// settle brings the view of a topic to its newest complete generation, and drops storage that nobody needs any more
// (rule 13). Any loader may do it at any time: it only ever goes up, and is checked again with each batch.
func (l *Loader) settle(ctx context.Context, t *apply.Topic) error {
	if err := l.loadGenerations(ctx, t); err != nil {
		return err
	}
	newest := t.NewestComplete()
	if newest > t.Shown {
		if err := l.show(ctx, t, newest); err != nil {
			return err
		}
	}
	if t.Shown > 0 {
		if err := l.outliveGone(ctx, t); err != nil {
			return err
		}
		if err := l.confirmShown(ctx, t); err != nil {
			return err
		}
	}
	done, err := l.dropOld(ctx, t)
	if err != nil {
		return err
	}
	t.Unsettled = !done || t.NewestGeneration() > t.Shown
	return nil
}

// show makes the view read a generation.
func (l *Loader) show(ctx context.Context, t *apply.Topic, number uint32) error {
	g := t.Generation(number)
	if l.stores[g] == nil {
		if err := l.recoverStorage(ctx, t, g); err != nil {
			return err
		}
	}
	if err := l.conn.Exec(ctx, l.createView(l.stores[g])); err != nil {
		if errcode.Of(err) == proto.ErrUnknownTable && l.loadShown(ctx, t) == nil && t.Shown > number {
			return nil // another loader was faster, and has dropped this generation
		}
		return fmt.Errorf("create the view of %s: %w", t.Table, err)
	}
	l.o.Log.Info("generation complete: the view shows it", zap.String("table", t.Table), zap.Uint32("generation", number), zap.Uint32("before", t.Shown))
	t.Shown = number
	return nil
}

// confirmShown records that the table has a view, and lifts a quarantine that the generation outlived.
func (l *Loader) confirmShown(ctx context.Context, t *apply.Topic) error {
	if t.Recorded < t.Shown {
		if err := l.ledger.WriteShown(ctx, ledger.Shown{Table: t.Table, Topic: t.Name, Generation: t.Shown}); err != nil {
			return err
		}
		t.Recorded = t.Shown
	}
	l.quarantines.Lift(t.Table, t.Shown)
	return l.quarantines.Write(ctx, l.ledger)
}

// recoverStorage finds the contract of a storage table that an earlier session made.
func (l *Loader) recoverStorage(ctx context.Context, t *apply.Topic, g *apply.Generation) error {
	var comment string
	err := l.conn.QueryRow(ctx, "SELECT comment FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(schemas.StorageDatabase(l.o.Database))+
		" AND name = "+schemas.ClickHouseLiteral(schemas.ClickHouseStorage(t.Schema, t.Rel, g.Number))).Scan(&comment)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("storage of %s, generation %d %w", t.Table, g.Number, errNoStorage)
	}
	if err != nil {
		return fmt.Errorf("storage of %s, generation %d: %w", t.Table, g.Number, err)
	}
	if len(comment) < len(commentPrefix) {
		return fmt.Errorf("storage of %s, generation %d has no schema in its comment: %w", t.Table, g.Number, errContract)
	}
	id, err := strconv.Atoi(comment[len(commentPrefix):])
	if err != nil {
		return fmt.Errorf("storage of %s, generation %d has no schema in its comment: %w", t.Table, g.Number, errContract)
	}
	w, err := l.writer(ctx, id)
	if err != nil {
		return err
	}
	_, err = l.ensureStorage(ctx, g, t, w.table, id)
	return err
}

// loadShown reads which generation the topic's view shows.
func (l *Loader) loadShown(ctx context.Context, t *apply.Topic) error {
	view := schemas.ClickHouseView(t.Schema, t.Rel)
	shown, err := l.readViews(ctx, " AND name = "+schemas.ClickHouseLiteral(view))
	if err != nil {
		return err
	}
	t.Shown = shown[view]
	return nil
}

// readViews reads from the views' comments which generations they show, by view.
func (l *Loader) readViews(ctx context.Context, condition string) (map[string]uint32, error) {
	rows, err := l.conn.Query(ctx, "SELECT name, comment FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(l.o.Database)+" AND engine = 'View'"+condition)
	if err != nil {
		return nil, fmt.Errorf("read which generations the views show: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	shown := map[string]uint32{}
	for rows.Next() {
		var name, comment string
		if err := rows.Scan(&name, &comment); err != nil {
			return nil, fmt.Errorf("read which generations the views show: %w", err)
		}
		shown[name] = shownBy(comment)
	}
	return shown, rows.Err()
}

// checkViews looks, after batches and while quiet, whether each view still shows what this loader believes: another loader may have
// moved it on, or have been late and put it back, or somebody has dropped it. What differs is settled anew.
func (l *Loader) checkViews(ctx context.Context) error {
	if time.Since(l.viewed) < viewInterval {
		return nil
	}
	l.viewed = time.Now()
	var shown map[string]uint32
	err := l.retry(ctx, "look at the views", func(ctx context.Context) (err error) {
		shown, err = l.readViews(ctx, "")
		return err
	})
	for _, t := range l.topics {
		if !t.Progress && len(t.Parts) > 0 && err == nil && shown[schemas.ClickHouseView(t.Schema, t.Rel)] != t.Shown {
			t.Unsettled = true
		}
	}
	return err
}

const viewInterval = time.Second

// viewComment begins the comment of a view; its generation follows.
const viewComment = "dirtbike generation "

// shownBy gives the generation of a view's comment; 0 for a view that somebody else made, which is then replaced.
func shownBy(comment string) uint32 {
	number, ok := strings.CutPrefix(comment, viewComment)
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil {
		return 0
	}
	return uint32(n)
}

// dropOld drops the storage of generations below the shown one, once every partition has been applied past its end.
func (l *Loader) dropOld(ctx context.Context, t *apply.Topic) (done bool, err error) {
	shown := t.Generations[t.Shown]
	if shown == nil || t.Shown == 1 && len(t.Generations) == 1 {
		return true, nil
	}
	passed, err := l.passedEnd(ctx, t, shown)
	if err != nil || !passed {
		return false, err
	}
	stored, err := l.storedGenerations(ctx, t)
	if err != nil {
		return false, err
	}
	for _, number := range stored {
		if number >= t.Shown {
			continue
		}
		if err := l.conn.Exec(ctx, "DROP TABLE IF EXISTS "+storageName(l.o.Database, t.Schema, t.Rel, number)); err != nil {
			return false, fmt.Errorf("drop generation %d of %s: %w", number, t.Table, err)
		}
	}
	for number, g := range t.Generations {
		g.Dropped = g.Dropped || number < t.Shown
	}
	return true, nil
}

// storedGenerations lists the generations that have a storage table, also those of a former topic of that name.
func (l *Loader) storedGenerations(ctx context.Context, t *apply.Topic) (numbers []uint32, err error) {
	base := strings.TrimSuffix(schemas.ClickHouseStorage(t.Schema, t.Rel, 0), "0")
	rows, err := l.conn.Query(ctx, "SELECT name FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(schemas.StorageDatabase(l.o.Database))+" AND startsWith(name, "+schemas.ClickHouseLiteral(base)+")")
	if err != nil {
		return nil, fmt.Errorf("list the storage of %s: %w", t.Table, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the storage of %s: %w", t.Table, err)
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(name, base), 10, 32); err == nil { // else another table's
			numbers = append(numbers, uint32(n))
		}
	}
	return numbers, rows.Err()
}

func (l *Loader) passedEnd(ctx context.Context, t *apply.Topic, g *apply.Generation) (bool, error) {
	applied, err := l.ledger.Applied(ctx, []string{t.Name})
	if err != nil {
		return false, err
	}
	past := 0
	for _, a := range applied {
		if end, ok := g.Ends[a.Partition]; ok && a.TopicID == t.ID && a.Next > end.Offset {
			past++
		}
	}
	return past >= int(t.Partitions), nil
}

// writer is what a schema id says: a table's contract, or a control record's.
type writer struct {
	table  *schemas.Table
	reader *avro.Reader
	err    error // the schema cannot be used
}

var errSchema = errors.New("the registered schema cannot be used")

// writer reads and compiles the value schema of an id, once.
func (l *Loader) writer(ctx context.Context, id int) (*writer, error) {
	if w := l.writers[id]; w != nil {
		return w, w.err
	}
	text, err := l.schema(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	if w.table, err = avro.ParseTable(text); err == nil {
		w.reader, err = avro.NewReader(w.table)
	}
	if err != nil {
		w.err = fmt.Errorf("%w: id %d: %w", errSchema, id, err)
	}
	l.writers[id] = w
	return w, w.err
}

// isControl reports whether a key schema is that of control records, reading it once.
func (l *Loader) isControl(ctx context.Context, id int) (bool, error) {
	if is, ok := l.controls[id]; ok {
		return is, nil
	}
	text, err := l.schema(ctx, id)
	if err != nil {
		return false, err
	}
	l.controls[id] = avro.IsControl(text)
	return l.controls[id], nil
}

// schema reads the schema of an id. One that the registry does not have is asked for once: its records quarantine their table.
func (l *Loader) schema(ctx context.Context, id int) (text string, err error) {
	if err := l.noSchema[id]; err != nil {
		return "", err
	}
	began := time.Now()
	err = l.retry(ctx, readSchema, func(ctx context.Context) (err error) {
		text, err = l.o.Registry.Schema(ctx, id)
		if errors.Is(err, schemas.ErrNoSchema) && time.Since(began) < schemaPatience {
			return errors.New(err.Error()) // not final yet
		}
		return err
	})
	if errors.Is(err, schemas.ErrNoSchema) {
		l.noSchema[id] = err
	}
	return text, err
}

// schemaPatience is how long a replica of the registry may not have heard of a schema that capture registered with another one.
const schemaPatience = 5 * time.Second
