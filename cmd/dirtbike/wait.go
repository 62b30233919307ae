package main

import (
	"time"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
)

func (a *app) wait() *cobra.Command {
	timeout := time.Minute
	c := &cobra.Command{
		Use: "wait", Short: "Return once ClickHouse is complete up to now; exit 1 if it is not in time", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return wrong(cdc.Failed("--timeout %s leaves no time to wait", timeout).Fix("--timeout 60s"))
			}
			cfg, log, err := a.begin()
			if err != nil {
				return err
			}
			return verdict(pipeline.Wait(c.Context(), cfg, log, timeout))
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait")
	return c
}
