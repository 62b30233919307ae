package main

import (
	"context"

	"github.com/spf13/cobra"

	"dirtbike/cmd/internal/pipeline"
)

func (a *app) inventory() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "inventory", Short: "List every column: whether it leaves Postgres, under which policy, and who named it", Args: cobra.NoArgs,
		Long: "inventory reads the config, Postgres' catalog and the stored state, which says what a rename has left out, and changes nothing. " +
			"Exit codes: 0 it could say so, whatever it says; " +
			"2 the config is wrong; 3 Postgres could not be reached.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), statusTime)
			defer cancel()
			found, err := pipeline.Inventory(ctx, cfg)
			if err != nil {
				return verdict(err)
			}
			return a.print(asJSON, found)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the documented JSON form")
	return c
}
