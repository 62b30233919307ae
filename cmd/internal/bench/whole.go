package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cmd/internal/wait"
	"dirtbike/docker/embedded"
	"dirtbike/schemas"
)

// whole is the whole stack, with the product's legs as processes.
type whole struct {
	*run
	stack *embedded.Stack
	dir   string
	ch    driver.Conn
}

// onWhole takes the measures that need the whole stack.
func (r *run) onWhole(ctx context.Context, dir string, e *embedded.Stack) error {
	conn, err := openClickHouse(e.ClickHouse.URL())
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is in flight
	w := &whole{run: r, stack: e, dir: dir, ch: conn}
	if err := w.serverVersions(ctx); err != nil {
		return err
	}
	if r.takes(MeasureLoad) {
		for _, t := range tables() {
			if err := w.load(ctx, t); err != nil {
				return err
			}
		}
	}
	switch {
	case !r.takes(MeasureLatency):
		return nil
	case r.Against != "":
		return w.latencyBuilds(ctx)
	}
	return w.latency(ctx)
}

// pipeline holds the names of one pipeline.
type pipeline struct {
	name  string // database in Postgres, prefix and slot
	table *table
	into  string // database in ClickHouse
}

func (p pipeline) storage() (database, table string) {
	return schemas.StorageDatabase(p.into), schemas.ClickHouseStorage("public", p.table.name, 1)
}

// config writes the pipeline's config file: the product's defaults, except for names and addresses.
func (w *whole) config(p pipeline) (path string, err error) {
	path = filepath.Join(w.dir, p.into+".yaml")
	text := fmt.Sprintf(`source: {url: "%[1]s", tables: ["public.%[2]s"], slot: %[3]s, publication: %[2]s}
kafka: {brokers: ["%[4]s"], prefix: %[3]s}
registry: {url: "%[5]s"}
clickhouse: {url: "%[6]s", database: %[7]s}
privacy: {mode: open}
ops: {listen: "127.0.0.1:0"}
`, w.stack.Postgres.DatabaseURL(p.name), p.table.name, p.name, strings.Join(w.stack.Kafka.Brokers(), `", "`), w.stack.Registry.URL(), w.stack.ClickHouse.URL(), p.into)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write a config: %w", err)
	}
	return path, nil
}

// fill makes the pipeline's database and its table with that many rows.
func (w *whole) fill(ctx context.Context, p pipeline, rows int64) error {
	if err := w.stack.Postgres.CreateDatabase(ctx, p.name); err != nil {
		return err
	}
	conn, err := login(w.stack.Postgres.DatabaseURL(p.name)).Connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, p.table.create()); err != nil {
		return fmt.Errorf("create table %s: %w", p.table.name, err)
	}
	return p.table.fill(ctx, conn, rows)
}

// follow starts both legs in one process and waits until the first copy can be queried in ClickHouse.
func (w *whole) follow(ctx context.Context, binary string, p pipeline) (*embedded.Process, error) {
	config, err := w.config(p)
	if err != nil {
		return nil, err
	}
	both, err := start(ctx, binary, "run", config)
	if err != nil {
		return nil, err
	}
	waiting, err := start(ctx, binary, "wait", config, "--timeout", passTimeout.String())
	if err == nil {
		err = errors.Join(waiting.Wait(ctx), waiting.Stop(context.WithoutCancel(ctx)))
	}
	if err != nil {
		_, stopErr := stop(both)
		return nil, errors.Join(err, stopErr)
	}
	return both, nil
}

// passTimeout bounds everything that is waited for.
const passTimeout = 15 * time.Minute

// ask reads one value from ClickHouse.
func (w *whole) ask(ctx context.Context, query string, into any) error {
	return w.ch.QueryRow(ctx, query).Scan(into)
}

func (w *whole) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if err := w.ch.Exec(ctx, s); err != nil {
			return fmt.Errorf("ClickHouse: %w", err)
		}
	}
	return nil
}

// drop removes databases from ClickHouse, with nothing left to merge.
func (w *whole) drop(ctx context.Context, databases ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, d := range databases {
		errs = append(errs, w.exec(ctx, "DROP DATABASE IF EXISTS "+quoted(d)+" SYNC"))
	}
	return errors.Join(errs...)
}

func quoted(name string) string { return "`" + name + "`" }

// lookEvery is the time between two queries of ClickHouse, and so the largest error of when a row was visible.
const lookEvery = 10 * time.Millisecond

// untilVisible waits until `shown` answers with that many rows (a consumer that delivers twice may have more). That
// query may be costly, so it runs only once the storage has the rows. alive gives an error once the loader has ended.
func (w *whole) untilVisible(ctx context.Context, rows uint64, database, storage, shown string, alive func() error) error {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	stored := fmt.Sprintf("SELECT sum(rows) FROM system.parts WHERE active AND database = '%s' AND table = '%s'", database, storage)
	var have uint64
	var last error
	err := wait.Every(ctx, lookEvery, func() (bool, error) {
		if err := alive(); err != nil {
			return false, err
		}
		if last = w.ask(ctx, stored, &have); last != nil || have < rows {
			return false, nil
		}
		last = w.ask(ctx, shown, &have) // an error: the view is being made
		return last == nil && have >= rows, nil
	})
	if ctx.Err() != nil && err != nil {
		return errors.Join(fmt.Errorf("%d of %d rows came: %w", have, rows, err), last)
	}
	return err
}
