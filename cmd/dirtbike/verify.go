package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/verify"
)

func (a *app) verify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "verify [schema.table …]", Short: "Compare every row of Postgres with ClickHouse, while both go on; exit 1 if they differ",
		RunE: func(c *cobra.Command, tables []string) error {
			cfg, log, err := a.begin()
			if err != nil {
				return err
			}
			progress := func(string, int64) {}
			if log.Core().Enabled(zap.InfoLevel) {
				progress = verify.ProgressLines(a.stderr)
			}
			report, err := pipeline.Verify(c.Context(), cfg, log, tables, progress, a.lines(log))
			if err != nil {
				return verdict(err)
			}
			if err := a.print(asJSON, report); err != nil {
				return err
			}
			if err := report.Err(); err != nil {
				return answerNo(err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the documented JSON form")
	return c
}

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
			if !c.Flags().Changed("timeout") {
				timeout = 0
			}
			return verdict(pipeline.Wait(c.Context(), cfg, log, timeout, a.lines(log)))
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait; unless it is given, the first copy does not count")
	return c
}

// lines gives what prints a line for people while a verb waits; nil if they asked for errors only.
func (a *app) lines(log *zap.Logger) func(line string) {
	if !log.Core().Enabled(zap.InfoLevel) {
		return nil
	}
	return func(line string) { fmt.Fprintln(a.stderr, console.Printable(a.advice(line))) }
}
