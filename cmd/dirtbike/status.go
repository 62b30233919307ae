package main

import (
	"errors"
	"time"

	"dirtbike/cmd/internal/pipeline"

	"context"

	"github.com/spf13/cobra"
)

func (a *app) status() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show phase, lag, retained log and every table; exit 1 if a table is not exact", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			health, err := pipeline.NewHealth(cfg)
			if err != nil {
				return wrong(err)
			}
			defer health.Close()
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			status, err := health.Collector().Status(ctx)
			if err != nil {
				return unreachable(err)
			}
			write := status.WriteText
			if asJSON {
				write = status.WriteJSON
			}
			if err := write(a.stdout); err != nil {
				return err
			}
			for _, t := range status.Tables {
				if !t.Exact {
					return answerNo(errors.New("not every table is exact"))
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the documented JSON form")
	return c
}
