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

// Published implements cdc.Source.
func (s *Source) Published(ctx context.Context, tables []*cdc.Table) (found bool, missing []*cdc.Table, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return false, nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	return s.published(ctx, conn, tables)
}

// EnsurePublication implements cdc.Source. What it may not change itself it refuses with the statement that does.
func (s *Source) EnsurePublication(ctx context.Context, tables []*cdc.Table) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	found, missing, err := s.published(ctx, conn, tables)
	switch name := quote(s.options.Publication); {
	case err != nil:
		return err
	case !found:
		return s.execute(ctx, conn, "CREATE PUBLICATION "+name+" FOR TABLE "+tableList(tables))
	case len(missing) > 0:
		return s.execute(ctx, conn, "ALTER PUBLICATION "+name+" ADD TABLE "+tableList(missing))
	}
	return nil
}

func (s *Source) published(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) (found bool, missing []*cdc.Table, err error) {
	name := s.options.Publication
	var complete, viaRoot, generated bool
	err = conn.QueryRow(ctx, `SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot, coalesce(to_jsonb(p)->>'pubgencols', 'n') <> 'n'
		FROM pg_publication p WHERE pubname = $1`, name).Scan(&complete, &viaRoot, &generated)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil, nil
	case err != nil:
		return false, nil, fmt.Errorf("read pg_publication: %w", err)
	case !complete:
		return true, nil, fmt.Errorf("%w: publication %s leaves operations out. Try: ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", cdc.ErrRefused, name, quote(name))
	case viaRoot:
		return true, nil, fmt.Errorf("%w: publication %s has publish_via_partition_root, which hides TRUNCATE, ATTACH and DETACH of partitions. Try: ALTER PUBLICATION %s SET (publish_via_partition_root = false)", cdc.ErrRefused, name, quote(name))
	case generated:
		return true, nil, fmt.Errorf("%w: publication %s sends generated columns, which dirtbike withholds. Try: ALTER PUBLICATION %s SET (publish_generated_columns = none)", cdc.ErrRefused, name, quote(name))
	}
	if err := s.refuseFilters(ctx, conn, name); err != nil {
		return true, nil, err
	}
	missing, err = s.missing(ctx, conn, name, tables)
	return true, missing, err
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

// missing lists the tables that the publication does not publish, be it by name, by schema or as all tables.
func (s *Source) missing(ctx context.Context, conn *pgx.Conn, name string, tables []*cdc.Table) ([]*cdc.Table, error) {
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', schemaname, tablename)::regclass::oid FROM pg_publication_tables WHERE pubname = $1`, name)
	if err != nil {
		return nil, fmt.Errorf("read pg_publication_tables: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("read pg_publication_tables: %w", err)
	}
	have := map[uint32]bool{}
	for _, oid := range there {
		have[oid] = true
	}
	var missing []*cdc.Table
	for _, t := range tables {
		if !have[t.OID] {
			missing = append(missing, t)
		}
	}
	return missing, nil
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
