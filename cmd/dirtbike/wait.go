package main

import (
	"context"
	"errors"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"

	"github.com/spf13/cobra"
)

func (a *app) wait() *cobra.Command {
	timeout := time.Minute
	c := &cobra.Command{
		Use: "wait", Short: "Return once ClickHouse is complete up to now; exit 1 if it is not in time", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return wrong(cdc.Failed("--timeout %s leaves no time to wait", timeout).Fix("--timeout 60s"))
			}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			log, err := a.logger()
			if err != nil {
				return err
			}
			return verdict(pipeline.Wait(c.Context(), cfg, log, timeout))
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait")
	return c
}

// verdict gives the errors of verify and wait their exit codes.
func verdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cdc.ErrUnreachable):
		return unreachable(err)
	case errors.Is(err, cdc.ErrRefused):
		return wrong(err)
	case errors.Is(err, context.Canceled):
		return answerNo(errors.New("interrupted before there was an answer"))
	}
	return answerNo(err)
}
