//go:build !noembedded

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/term"

	"dirtbike/cmd/internal/demo"
)

func (a *app) demo() *cobra.Command {
	var o demo.Options
	var noKill bool
	c := &cobra.Command{
		Use: "demo", Short: "Watch a synthetic clinic's Postgres being copied and followed into ClickHouse, while parts are killed", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program's file: %w", err)
			}
			file, ok := a.stdout.(*os.File)
			o.Out, o.Terminal = a.stdout, ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
			o.Kill, o.Self, o.Log = !noKill, self, zap.NewNop()
			err = demo.Run(c.Context(), o)
			switch {
			case errors.Is(err, demo.ErrOptions):
				return wrong(err)
			case err != nil:
				return answerNo(err)
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.DurationVar(&o.For, "for", 30*time.Second, "how long the clinic is kept busy; 0 until Ctrl-C")
	flags.BoolVar(&noKill, "no-kill", false, "do not kill capture and ClickHouse on the way")
	flags.StringVar(&o.Dir, "dir", "", "keep everything in this new or empty directory (default: a temporary one, removed at the end)")
	flags.IntVar(&o.Rows, "rows", 0, "size of the clinic in rows, about (default 1,000,000)")
	flags.StringVar(&o.Engines, "engines", "npm", "where Postgres and ClickHouse come from: npm or path")
	flags.StringVar(&o.Kafka, "kafka", "kfake", "kfake, or apache for the real one")
	return c
}
