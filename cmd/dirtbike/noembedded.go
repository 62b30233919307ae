//go:build noembedded

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// The image's binary is static, but the embedded stack loads ClickHouse as a shared library: it is left out.

func runChild() {}

func (a *app) demo() *cobra.Command {
	return withoutStack("demo", "Not in this build: watch a synthetic clinic being copied")
}

func (a *app) embedded() *cobra.Command {
	return withoutStack("embedded", "Not in this build: run the whole stack without Docker")
}

func (a *app) bench() *cobra.Command {
	return withoutStack("bench", "Not in this build: measure speed against references")
}

// withoutStack is a verb that only says which binary has it, with any flags.
func withoutStack(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb, Short: short, Args: cobra.ArbitraryArgs, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return wrong(errors.New("this build has no embedded stack. Try: go run ./cmd/dirtbike " + verb))
		},
	}
}
