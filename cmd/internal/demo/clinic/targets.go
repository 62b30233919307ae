package clinic

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"dirtbike/cdc"
)

// targets are what the clients choose from, read once at the start. Read-only afterwards.
type targets struct {
	pools
	patients, claims int64 // highest ids
	providers        int64
	// salt is the claims' sequence: it has moved on since any earlier run that inserted something.
	salt    uint64
	scanned []pgtype.UUID // some visits whose notes are stored out of line
}

// findTargets reads the clinic's size.
func findTargets(ctx context.Context, pgURL string, seed uint64) (*targets, error) {
	conn, err := Connect(ctx, pgURL)
	if err != nil {
		return nil, fmt.Errorf("connect the workload to Postgres: %w", err)
	}
	defer closeConn(ctx, conn)
	t := &targets{pools: newPools(seed)}
	err = conn.QueryRow(ctx, `
		SELECT (SELECT coalesce(max(patient_id), 0) FROM public.patients),
		       (SELECT coalesce(max(claim_id), 0) FROM public.claims),
		       (SELECT count(*) FROM public.providers),
		       (SELECT last_value FROM public.claims_claim_id_seq)`).Scan(&t.patients, &t.claims, &t.providers, &t.salt)
	if err != nil {
		return nil, fmt.Errorf("read the size of the clinic: %w", err)
	}
	if t.patients == 0 || t.claims == 0 || t.providers == 0 {
		return nil, cdc.Failed("the clinic at this URL is empty").Fix("fill an empty database first")
	}
	rows, err := conn.Query(ctx, "SELECT visit_id FROM public.visits WHERE octet_length(notes) > 4000 LIMIT 200")
	if err != nil {
		return nil, fmt.Errorf("find visits with large notes: %w", err)
	}
	if t.scanned, err = pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID]); err != nil {
		return nil, fmt.Errorf("read visits with large notes: %w", err)
	}
	return t, nil
}
