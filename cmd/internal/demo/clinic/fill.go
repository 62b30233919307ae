package clinic

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

//go:embed schema.sql
var schemaSQL string

//go:embed keys.sql
var keysSQL string

// Fill creates the clinic in the empty schema public of the database at pgURL and loads it: each table by one binary
// COPY, keys and indexes afterwards, ANALYZE last. The rows depend on rows and seed alone.
//
// progress is called from one goroutine at a time, with the rows sent and the rows the table will have: first with 0,
// last with all of them. A failed Fill leaves the tables loaded so far; start again with an empty database.
func Fill(ctx context.Context, pgURL string, rows int, seed uint64, progress func(table string, done, total int64)) error {
	n, err := share(rows)
	if err != nil {
		return err
	}
	conn, err := Connect(ctx, pgURL)
	if err != nil {
		return fmt.Errorf("connect to the clinic's Postgres: %w", err)
	}
	defer closeConn(ctx, conn)
	if err := createTables(ctx, conn); err != nil {
		return err
	}
	for _, t := range newWorld(n, seed).tables() {
		if err := load(ctx, conn, t, progress); err != nil {
			return err
		}
	}
	return finish(ctx, conn)
}

// Connect opens a session of the clinic's application, whose settings no environment variable (PGOPTIONS) changes.
func Connect(ctx context.Context, pgURL string) (*pgx.Conn, error) {
	return postgres.Login{URL: pgURL, Name: "clinic"}.Connect(ctx)
}

// createTables runs schema.sql and lets the connection write the enum.
func createTables(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, schemaSQL); err != nil {
		return cdc.Failed("create the clinic's tables").Because(err).Fix("an empty database")
	}
	status, err := conn.LoadType(ctx, "public.claim_status")
	if err != nil {
		return fmt.Errorf("look up type claim_status: %w", err)
	}
	conn.TypeMap().RegisterType(status)
	return nil
}

// load copies one table.
func load(ctx context.Context, conn *pgx.Conn, t *table, progress func(string, int64, int64)) error {
	progress(t.name, 0, t.rows)
	t.every = func(done int64) { progress(t.name, done, t.rows) }
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"public", t.name}, t.columns, t)
	if err != nil {
		return fmt.Errorf("load %s: %w", t.name, err)
	}
	if copied != t.rows {
		return fmt.Errorf("load %s: Postgres took %d of %d rows", t.name, copied, t.rows)
	}
	progress(t.name, t.rows, t.rows)
	return nil
}

// finish builds keys and indexes and starts the heartbeat at 0.
func finish(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{"SET maintenance_work_mem = '256MB'", keysSQL, "INSERT INTO public.heartbeats VALUES (1, 0, now())"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("build the clinic's keys and indexes and start its heartbeat: %w", err)
		}
	}
	return nil
}

// closeConn ends a connection even if ctx is over; one that does not close in time is cut by pgx.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is pending on it: every statement has returned
}
