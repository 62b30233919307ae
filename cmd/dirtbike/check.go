package main

import (
	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/preflight"
)

func (a *app) check() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "check", Short: "Check, before a start, that every part is as it must be, and print the commands that fix what is not", Args: cobra.NoArgs,
		Long: "check looks at every part, as a start would, and changes nothing anywhere. It takes at most 15 seconds.\n\n" +
			"Exit codes: 0 a start would go well (warnings are allowed); 1 a check failed; 2 the config is wrong; " +
			"3 the only failures are parts that could not be reached.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			report, err := preflight.Run(c.Context(), cfg)
			if err != nil {
				return verdict(err)
			}
			if err := a.print(asJSON, report); err != nil {
				return err
			}
			return checked(report)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the documented JSON form")
	return c
}

// checked gives a report its exit code.
func checked(r preflight.Report) error {
	switch {
	case r.OK:
		return nil
	case r.Unreachable():
		return unreachable(cdc.Failed("parts could not be reached").Fix("see their lines above"))
	}
	return answerNo(cdc.Failed("a start would be refused, or fail").Fix("do what the lines above say, then dirtbike check"))
}
