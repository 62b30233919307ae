package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
)

// prove lets everything arrive, asks both databases the nightly ETL's question, and compares every row.
func (d *demo) prove(ctx context.Context) error {
	cfg, err := config.Load(d.config)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pipeline.Wait(ctx, cfg, time.Minute); err != nil {
		return err
	}
	d.screen.say("Everything committed is in ClickHouse, %d ms after the last commit", time.Since(began).Milliseconds())
	if err := d.compareETL(ctx); err != nil {
		return err
	}
	return d.verify(ctx, cfg)
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
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.SetTitle("Paid and denied amount per clinic, month and plan")
	w.AppendHeader(table.Row{"", "time", "rows", "answer"})
	w.AppendRow(table.Row{"Postgres (the nightly ETL)", there.Elapsed.Round(time.Millisecond), humanize.Comma(int64(there.Rows)), there.Digest})
	w.AppendRow(table.Row{"ClickHouse (always fresh)", here.Elapsed.Round(time.Millisecond), humanize.Comma(int64(here.Rows)), here.Digest})
	d.screen.say("%s", w.Render())
	if there.Digest != here.Digest {
		return errors.New("the two answers differ; that is a bug. Try: keep the data with --dir and report it")
	}
	d.screen.say("Equal answers, %.1f times as fast, and no load on production", there.Elapsed.Seconds()/here.Elapsed.Seconds())
	return nil
}

func (d *demo) verify(ctx context.Context, cfg *config.Config) error {
	bars := d.screen.bars("Comparing every row of Postgres with ClickHouse")
	report, err := pipeline.Verify(ctx, cfg, d.Log, nil, func(name string, done int64) { bars.set(name, done, max(d.rows[name], done)) })
	bars.close()
	if err != nil {
		return err
	}
	var rows int64
	for _, t := range report.Tables {
		rows += t.RowsSource
	}
	if !report.Equal {
		return fmt.Errorf("verify found differences: %+v", report.Tables)
	}
	d.screen.say("%d tables, %s rows equal", len(report.Tables), humanize.Comma(rows))
	d.screen.say("The demo took %.0f s", time.Since(d.began).Seconds())
	return nil
}
