package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// loading is a topic that holds a whole table, and the columns that a loader makes of it.
type loading struct {
	*whole
	pipeline

	rows    int64
	columns []storageColumn
	content uint64 // of the table's columns, as the first copy made it
	passes  int
	fastest EngineSettings
	peaks   []int64 // memory of each `dirtbike load`
}

// load fills the topic of a table, and measures how fast it is loaded.
func (w *whole) load(ctx context.Context, t *table) error {
	l := &loading{whole: w, pipeline: pipeline{name: t.name, table: t, into: t.name + "_first"}, rows: t.rows(w.Rows)}
	l.say("filling the topic of table %s with %s rows", t.name, count(l.rows))
	if err := l.fillTopic(ctx); err != nil {
		return fmt.Errorf("fill the topic of table %s: %w", t.name, err)
	}
	if l.Against != "" {
		return l.builds(ctx)
	}
	return l.compare(ctx)
}

// compare compares `dirtbike load` with ClickHouse's Kafka engine on the same topic: from the start of the process, or
// of the materialized view, to the last row visible.
func (l *loading) compare(ctx context.Context) error {
	if err := l.tune(ctx); err != nil {
		return fmt.Errorf("try settings of the Kafka engine on table %s: %w", l.table.name, err)
	}
	err := l.alternate(Comparison{
		Measure: MeasureLoad, Table: l.table.name, Rows: l.rows, Least: leastLoad,
		Reference: "ClickHouse's Kafka engine, " + l.fastest.String(),
		Product:   "dirtbike load with its default settings, start of the process included, into the view",
	}, func() (time.Duration, error) { return l.engine(ctx, l.fastest) }, func(*allocations) (time.Duration, error) { return l.loader(ctx, l.Self) })
	if err == nil {
		l.report.Memory = append(l.report.Memory, Memory{"dirtbike load, table " + l.table.name, slices.Max(l.peaks)})
	}
	return err
}

// fillTopic fills the topic by a first copy of the product, which also loads it into a ClickHouse database.
func (l *loading) fillTopic(ctx context.Context) error {
	if err := l.fill(ctx, l.pipeline, l.rows); err != nil {
		return err
	}
	both, err := l.follow(ctx, l.Self, l.pipeline)
	if err != nil {
		return err
	}
	peak, err := stop(both)
	if err != nil {
		return err
	}
	l.report.Memory = append(l.report.Memory, Memory{"dirtbike run, first copy of table " + l.table.name, peak})
	if l.columns, err = l.readColumns(ctx); err != nil {
		return err
	}
	if l.content, err = l.fingerprint(ctx, l.view(l.into)); err != nil {
		return err
	}
	return l.drop(ctx, l.into, l.into+"_raw")
}

func (l *loading) view(database string) string { return quoted(database) + "." + quoted(l.table.name) }

// fingerprint sums up all values of the table's columns, in no order.
func (l *loading) fingerprint(ctx context.Context, from string) (content uint64, err error) {
	var columns []string
	for _, c := range l.columns {
		if _, own := bookkeeping[c.Name]; !own {
			columns = append(columns, quoted(c.Name))
		}
	}
	err = l.ask(ctx, "SELECT groupBitXor(cityHash64(toString(tuple("+strings.Join(columns, ", ")+")))) FROM "+from, &content)
	if err != nil {
		return 0, fmt.Errorf("read what was loaded: %w", err)
	}
	return content, nil
}

// same fails unless a pass has loaded the same rows as the first copy: a loader that reads less is faster.
func (l *loading) same(ctx context.Context, from string) error {
	content, err := l.fingerprint(ctx, from)
	if err == nil && content != l.content {
		err = fmt.Errorf("%s has other values than the first copy made", from)
	}
	return err
}

// loader is one pass of a build's `dirtbike load` into a database of its own, so that it begins at the topic's start.
func (l *loading) loader(ctx context.Context, binary string) (took time.Duration, err error) {
	l.passes++
	p := l.pipeline
	p.into = fmt.Sprintf("%s_load_%d", l.table.name, l.passes)
	config, err := l.config(p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.drop(ctx, p.into, p.into+"_raw")) }()
	began := time.Now()
	loader, err := start(ctx, binary, "load", config)
	if err != nil {
		return 0, err
	}
	database, storage := p.storage()
	err = l.untilVisible(ctx, uint64(l.rows), database, storage, "SELECT count() FROM "+l.view(p.into), loader.Ended) //nolint:gosec // a count
	took = time.Since(began)
	peak, stopErr := stop(loader)
	l.peaks = append(l.peaks, peak)
	if err = errors.Join(err, stopErr); err != nil {
		return 0, err
	}
	return took, l.same(ctx, l.view(p.into))
}

// partitions is the product's default.
const partitions = 6

// tune tries settings of the Kafka engine and keeps the fastest.
func (l *loading) tune(ctx context.Context) error {
	best := time.Duration(0)
	all := engineSettings(min(partitions, runtime.NumCPU()))
	for _, s := range all[:min(l.Tries, len(all))] {
		took, err := l.engine(ctx, s)
		if err != nil {
			return err
		}
		l.say("%s, %s: the Kafka engine with %s: %s rows/s", MeasureLoad, l.table.name, s, speed(l.rows, took))
		l.report.Tried = append(l.report.Tried, Tried{Table: l.table.name, Settings: s, Rows: l.rows, Took: took})
		if best == 0 || took < best {
			best, l.fastest = took, s
		}
	}
	return nil
}
