package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
)

// quiet keeps checkpoints and autovacuum out of the passes that are compared.
var quiet = map[string]string{"autovacuum": "off", "max_wal_size": "16GB", "checkpoint_timeout": "1h"}

// stack says what is started: the whole stack, or only Postgres.
func (o *Options) stack(whole bool) embedded.Options {
	options := embedded.Options{Engines: o.Engines, Kafka: o.Kafka, PostgresSettings: quiet, Progress: embedded.NewProgress(cmp.Or(o.Progress, io.Discard))}
	if !whole {
		options.Parts = embedded.Parts{Postgres: true}
	}
	return options
}

// engineError turns the errors of the embedded stack into this package's.
func engineError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrOptions):
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// stopTimeout bounds the end of everything that was started.
const stopTimeout = time.Minute

// inDir calls f with a temporary directory, which is removed afterwards.
func inDir(f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "dirtbike-bench-")
	if err != nil {
		return cdc.Failed("make a temporary directory").Because(err).Fix("another TMPDIR")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user when we are root
		return err
	}
	return f(dir)
}

// withEngines starts engines in a temporary directory, calls f, and stops and removes them.
func (r *run) withEngines(ctx context.Context, whole bool, f func(ctx context.Context, dir string, e *embedded.Stack) error) error {
	return inDir(func(dir string) error {
		options := r.stack(whole)
		options.Dir = filepath.Join(dir, "stack")
		e, err := embedded.Start(ctx, options)
		if err != nil {
			return engineError(err)
		}
		err = f(ctx, dir, e)
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(err, e.Stop(stopping))
	})
}
