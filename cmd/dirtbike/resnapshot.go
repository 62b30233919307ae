package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/pipeline"
)

func (a *app) resnapshot() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "resnapshot schema.table … | --all", Short: "Copy tables again, with capture stopped; --all: everything, from a new slot",
		Long: "Copies tables again as new generations, the way out of quarantine. The pipeline's slot stays, so that nothing is lost of the other tables.\n\n" +
			"With --all every table is copied again under the next epoch, from a new slot; the former slot is dropped. It is the way out wherever changes are lost:\n" +
			"a slot that was dropped, advanced or invalidated, a restored Postgres, a rebuilt Kafka, a lost state topic.\n\n" +
			"Capture must be stopped. Reports go on reading the former copies, which are not exact, until load has the new ones whole. " +
			"It may be called again whenever it was cut short.",
		RunE: func(c *cobra.Command, tables []string) error {
			if all == (len(tables) > 0) {
				return wrong(cdc.Failed("resnapshot takes names of tables, as dirtbike status lists them, or --all; capture must be stopped").
					Fix("dirtbike resnapshot schema.table"))
			}
			cfg, log, err := a.begin()
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }() // stderr needs no sync
			left, err := pipeline.Resnapshot(c.Context(), pipeline.Options{Config: cfg, Log: log, Metrics: prometheus.NewRegistry(), Fault: a.fault}, tables, all)
			switch {
			case c.Context().Err() != nil:
				return answerNo(cdc.Failed("interrupted; what is committed to Kafka is safe").Fix("the same command again, before capture starts"))
			case errors.Is(err, capture.ErrStillRefused):
				return answerNo(err)
			case err != nil:
				return err
			}
			what := strings.Join(tables, ", ")
			if all {
				what = "every table"
			}
			if left != "" {
				left = "\nLeft out: " + left
			}
			said := "Copied " + what + " to Kafka again. Next: dirtbike run (or capture and load); dirtbike wait returns once ClickHouse is exact." + left
			_, err = fmt.Fprintln(a.stdout, a.typable(said))
			return err
		},
	}
	c.Flags().BoolVar(&all, "all", false, "copy every table, under the next epoch and from a new slot")
	return c
}
