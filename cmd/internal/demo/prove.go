package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/verify"
	"dirtbike/cmd/internal/wait"
)

// prove lets everything arrive, asks both databases the nightly ETL's question, and compares every row.
func (d *demo) prove(ctx context.Context) error {
	began := time.Now()
	err := patiently(ctx, func() error { return pipeline.Wait(ctx, d.config, d.Log, time.Minute, nil) })
	if err := errors.Join(err, d.healthy()); err != nil {
		return err
	}
	d.screen.heading(etlQuestion)
	d.screen.say("  everything committed was in ClickHouse %s ms after the last commit", humanize.Comma(time.Since(began).Milliseconds()))
	if err := patiently(ctx, func() error { return d.compareETL(ctx) }); err != nil {
		return err
	}
	return d.verify(ctx)
}

// etlQuestion fits into 80 columns.
const etlQuestion = "The nightly ETL's question: paid and denied amount per clinic, month and plan"

// patience is how long a server that does not answer is asked again: the embedded ClickHouse is started again when its
// library aborts.
const patience = 20 * time.Second

// patiently repeats a step that only asks, as long as a server does not answer.
func patiently(ctx context.Context, step func() error) (err error) {
	over := time.Now().Add(patience)
	_ = wait.Every(ctx, time.Second, func() (bool, error) {
		err = step()
		return err == nil || !unanswered(err) || time.Now().After(over), nil
	})
	return err
}

// unanswered reports whether a server was not there, as opposed to one that answers with an error.
func unanswered(err error) bool {
	var broken *net.OpError
	return errors.Is(err, cdc.ErrUnreachable) || errors.As(err, &broken) || errors.Is(err, io.EOF)
}

// compareETL runs the query that the nightly ETL ran on the production database, there and in ClickHouse.
func (d *demo) compareETL(ctx context.Context) error {
	there, err := clinic.RunPostgres(ctx, d.postgres)
	if err != nil {
		return fmt.Errorf("the ETL query on Postgres: %w", err)
	}
	here, err := clinic.RunClickHouse(ctx, d.clickhouse, database)
	if err != nil {
		return fmt.Errorf("the ETL query on ClickHouse: %w", err)
	}
	w := console.NewTable(table.Row{"", "time", "rows", "digest of the answer"}, 2, 3)
	row := func(name string, r clinic.Result) {
		w.AppendRow(table.Row{name, fmt.Sprintf("%d ms", r.Elapsed.Milliseconds()), humanize.Comma(int64(r.Rows)), r.Digest[:digestShown]})
	}
	row("Postgres, as the nightly ETL", there)
	row("ClickHouse, always fresh", here)
	d.screen.say("%s", w.Render())
	if there.Digest != here.Digest {
		return cdc.Failed("the two answers differ; that is a bug").Fix("keep the data with --dir and report it")
	}
	d.answered = true
	d.screen.say("  %s equal answers, %.1f times as fast, and no reporting query on production", d.screen.good("✓"), there.Elapsed.Seconds()/here.Elapsed.Seconds())
	return nil
}

// digestShown is how much of a digest people see; all of it is compared.
const digestShown = 12

// count gives how many rows each table has in Postgres now, and all of them: the clinic has been at work since it was
// filled.
func (d *demo) count(ctx context.Context) (counts map[string]int64, all int64, err error) {
	counts = map[string]int64{}
	for _, name := range append(slices.Clone(d.order), "public.heartbeats") {
		var rows int64
		query := "SELECT count(*) FROM " + pgx.Identifier(strings.Split(name, ".")).Sanitize()
		if err := d.postgres.QueryRow(ctx, query).Scan(&rows); err != nil {
			return nil, 0, cdc.Failed("count the rows of %s in Postgres", name).Because(err).Fix("run the demo with --dir DIR and read the logs in DIR/stack")
		}
		counts[name] = rows
		all += rows
	}
	return counts, all, nil
}

func (d *demo) verify(ctx context.Context) error {
	counts, all, err := d.count(ctx)
	if err != nil {
		return err
	}
	bars := d.screen.bars("Comparing every row of Postgres with ClickHouse", all)
	var report verify.Report
	err = patiently(ctx, func() (err error) {
		report, err = pipeline.Verify(ctx, d.config, d.Log, nil, func(name string, done int64) { bars.set(name, done, counts[name]) }, nil)
		return err
	})
	if err == nil {
		bars.finish()
	}
	bars.close()
	if err != nil {
		return err
	}
	var rows, differing int64
	for _, t := range report.Tables {
		rows, differing = rows+t.RowsSource, differing+t.DifferingKeys
	}
	if !report.Equal {
		return cdc.Failed("ClickHouse differs from Postgres in %d keys; that is a bug", differing).Fix("keep the data with --dir, run dirtbike verify, and report it")
	}
	d.screen.say("\n%s", d.screen.paint(fmt.Sprintf("✓ %d tables, %s rows equal", len(report.Tables), humanize.Comma(rows)), text.Bold, text.FgGreen))
	return nil
}
