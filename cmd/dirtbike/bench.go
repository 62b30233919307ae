//go:build !noembedded

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/bench"
)

func (a *app) bench() *cobra.Command {
	var o bench.Options
	var out string
	c := &cobra.Command{
		Use: "bench", Short: "Measure speed against references on this machine, with engines of its own", Args: cobra.NoArgs,
		Long: "bench measures the stream against pg_recvlogical, the first copy against COPY into nothing, load against ClickHouse's Kafka engine, and commit to\n" +
			"queryable, with engines that it starts and removes itself. It writes a Markdown report, and exits with 1 if a figure is below what is promised.\n" +
			"Let nothing else run meanwhile.",
		RunE: func(c *cobra.Command, _ []string) error {
			o.Command = strings.Join(commandLine(c), " ")
			return a.runBench(c.Context(), o, out)
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&o.Only, "only", nil, "measures to take: "+strings.Join(bench.Measures(), ",")+" (default all)")
	flags.IntVar(&o.Pairs, "pairs", 6, "how often reference and dirtbike take turns")
	flags.Int64Var(&o.Rows, "rows", 1_000_000, "rows of the claims table; the wide table has an eighth")
	flags.StringVar(&out, "out", "", "file for the report (default, and -: standard output)")
	flags.IntVar(&o.Tries, "tries", 5, "settings of ClickHouse's Kafka engine to try before the load measure, which takes the fastest")
	flags.IntVar(&o.Rate, "rate", 500, "transactions per second of the latency measure")
	flags.DurationVar(&o.For, "for", 20*time.Second, "how long the latency measure writes")
	flags.StringVar(&o.Engines, "engines", "npm", "where Postgres and ClickHouse come from: npm or path")
	flags.StringVar(&o.Kafka, "kafka", "apache", "apache, the real one (needs Java 17 and Maven), or kfake")
	flags.StringVar(&o.Against, "against", "", "program of another build: compare both in turns, instead of measuring against the references")
	return c
}

// commandLine gives the verb with the flags that were set and matter.
func commandLine(c *cobra.Command) []string {
	line := []string{c.CommandPath()}
	for _, name := range []string{"only", "pairs", "rows", "tries", "rate", "for", "engines", "kafka", "against"} {
		if f := c.Flags().Lookup(name); f.Changed {
			line = append(line, "--"+name, strings.Trim(f.Value.String(), "[]"))
		}
	}
	return line
}

// runBench measures and writes the report to the file out, or to standard output if that is "".
func (a *app) runBench(ctx context.Context, o bench.Options, out string) (err error) {
	to := a.stdout
	if err := o.Check(); err != nil {
		return wrong(err)
	}
	if out != "" && out != stream { // a report that has no place is noticed before an hour of measuring
		file, err := os.Create(out)
		if err != nil {
			return wrong(cdc.Failed("make the report's file").Because(err).Fix("another --out"))
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		to = file
	}
	if o.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	o.Progress = a.stderr
	report, err := bench.Run(ctx, o)
	switch {
	case errors.Is(err, bench.ErrOptions):
		return wrong(err)
	case errors.Is(err, bench.ErrUnreachable):
		return unreachable(err)
	case err != nil:
		return answerNo(err)
	}
	if err := report.Write(to); err != nil {
		return answerNo(fmt.Errorf("write the report: %w", err))
	}
	if faults := report.Faults(); len(faults) > 0 {
		return answerNo(cdc.Failed("below what is promised: %s", strings.Join(faults, "; ")).Fix("again, with nothing else on the machine"))
	}
	return nil
}
