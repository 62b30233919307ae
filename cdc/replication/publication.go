package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dirtbike/cdc"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// EnsurePublication implements cdc.Source. What it may not change itself it refuses with the statement that does.
func (s *Source) EnsurePublication(ctx context.Context, tables []*cdc.Table) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	name := s.options.Publication
	var all, complete, viaRoot bool
	err = conn.QueryRow(ctx, `SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot FROM pg_publication WHERE pubname = $1`, name).
		Scan(&all, &complete, &viaRoot)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.execute(ctx, conn, "CREATE PUBLICATION "+quote(name)+" FOR TABLE "+tableList(tables))
	case err != nil:
		return fmt.Errorf("read pg_publication: %w", err)
	case !complete:
		return fmt.Errorf("%w: publication %s leaves operations out. Try: ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", cdc.ErrRefused, name, quote(name))
	case viaRoot:
		return fmt.Errorf("%w: publication %s has publish_via_partition_root, which hides TRUNCATE, ATTACH and DETACH of partitions. Try: ALTER PUBLICATION %s SET (publish_via_partition_root = false)", cdc.ErrRefused, name, quote(name))
	}
	if err := s.refuseFilters(ctx, conn, name); err != nil || all {
		return err
	}
	return s.addMissing(ctx, conn, name, tables)
}

// refuseFilters refuses row filters and column lists (Postgres 15 on): both leave changes out silently.
func (s *Source) refuseFilters(ctx context.Context, conn *pgx.Conn, name string) error {
	if serverMajor(conn) < 15 {
		return nil
	}
	var filtered string
	err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(format('%I.%I', n.nspname, c.relname), ', '), '') FROM pg_publication_rel r
		JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE p.pubname = $1 AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)`, name).Scan(&filtered)
	if err != nil {
		return fmt.Errorf("read pg_publication_rel: %w", err)
	}
	if filtered != "" {
		return fmt.Errorf("%w: publication %s has a row filter or column list on %s, so changes would be missing. Try: ALTER PUBLICATION %s DROP TABLE %s, then ADD TABLE without it (withhold columns under privacy instead)", cdc.ErrRefused, name, filtered, quote(name), filtered)
	}
	return nil
}

func (s *Source) addMissing(ctx context.Context, conn *pgx.Conn, name string, tables []*cdc.Table) error {
	rows, err := conn.Query(ctx, `SELECT (schemaname || '.' || tablename)::text FROM pg_publication_tables WHERE pubname = $1`, name)
	if err != nil {
		return fmt.Errorf("read pg_publication_tables: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read pg_publication_tables: %w", err)
	}
	have := map[string]bool{}
	for _, t := range there {
		have[t] = true
	}
	var missing []*cdc.Table
	for _, t := range tables {
		if !have[t.FullName()] {
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return s.execute(ctx, conn, "ALTER PUBLICATION "+quote(name)+" ADD TABLE "+tableList(missing))
}

// execute runs a statement of ours; without the right to it the error holds the statement, for somebody who has the right.
func (s *Source) execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.Exec(ctx, sql)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		return fmt.Errorf("%w: %s. Try, as the tables' owner: %s", cdc.ErrRefused, pgErr.Message, sql)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func tableList(tables []*cdc.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = "ONLY " + pgx.Identifier{t.Schema, t.Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
