package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/status"
)

// statusTime is how long the servers may take to answer.
const statusTime = 10 * time.Second

func (a *app) status() *cobra.Command {
	var asJSON, count bool
	c := &cobra.Command{
		Use: "status", Short: "Show phase, lag, retained log and every table; exit 1 if a table is not exact, no capture runs or Kafka is away", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := a.askStatus(c.Context(), count)
			if err != nil && (len(status.Missing) == 0 || c.Context().Err() != nil) {
				return err
			}
			if printed := a.print(asJSON, status); printed != nil || err != nil {
				return cmp.Or(err, printed)
			}
			for _, p := range status.Problems() {
				return answerNo(p)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the documented JSON form")
	c.Flags().BoolVar(&count, "count", false, "count the rows and inexact values of every view, which reads all of them")
	return c
}

// askStatus asks Postgres, ClickHouse and Kafka; it needs no running capture. Counting takes as long as it takes.
func (a *app) askStatus(ctx context.Context, count bool) (status.Status, error) {
	cfg, err := a.config()
	if err != nil {
		return status.Status{}, err
	}
	health, err := pipeline.NewHealth(cfg)
	if err != nil {
		return status.Status{}, wrong(err)
	}
	defer health.Close()
	collector := health.Collector()
	limited, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	answer, err := collector.Measured(limited)
	switch {
	case errors.Is(err, cdc.ErrRefused):
		return answer, wrong(err)
	case err != nil:
		return answer, unreachable(err)
	case count:
		return collector.Counted(ctx, answer), nil
	}
	return answer, nil
}
