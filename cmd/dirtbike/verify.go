package main

import (
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/verify"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func (a *app) verify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "verify [schema.table …]", Short: "Compare every row of Postgres with ClickHouse, while both go on; exit 1 if they differ",
		RunE: func(c *cobra.Command, tables []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			log, err := a.logger()
			if err != nil {
				return err
			}
			progress := func(string, int64) {}
			if log.Core().Enabled(zap.InfoLevel) {
				progress = verify.ProgressLines(a.stderr)
			}
			report, err := pipeline.Verify(c.Context(), cfg, log, tables, progress)
			if err != nil {
				return verdict(err)
			}
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(a.stdout); err != nil {
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
