package clinic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// ETLPostgres is the nightly ETL's question, "paid and denied amount per clinic, month and plan", as it is asked of the
// production Postgres: payments received and lines denied, each summed up per claim first. Its columns are clinic text,
// month date, plan text, claims bigint, paid numeric, denied numeric, in the order of the first three, bytewise.
const ETLPostgres = `
SELECT k.name AS clinic, date_trunc('month', c.service_date::timestamp)::date AS month, c.plan::text AS plan,
       count(*) AS claims, coalesce(sum(p.received), 0) AS paid, coalesce(sum(l.refused), 0) AS denied
FROM public.claims c
JOIN public.clinics k ON k.clinic_id = c.clinic_id
LEFT JOIN (SELECT claim_id, sum(amount) AS received FROM public.payments GROUP BY claim_id) p ON p.claim_id = c.claim_id
LEFT JOIN (SELECT claim_id, sum(denied) AS refused FROM public.claim_lines GROUP BY claim_id) l ON l.claim_id = c.claim_id
GROUP BY k.name, date_trunc('month', c.service_date::timestamp), c.plan
ORDER BY k.name COLLATE "C", date_trunc('month', c.service_date::timestamp), c.plan COLLATE "C"`

// ETLClickHouse is the same question in ClickHouse's words; the query parameter database names the database. Its
// settings make the meaning Postgres': sums of nothing and unmatched joins are NULL, months are Date32, a column's name
// comes before an alias.
const ETLClickHouse = `
SELECT k.name AS clinic, toStartOfMonth(c.service_date) AS month, c.plan AS plan,
       toInt64(count()) AS claims, coalesce(sum(p.received), toDecimal128(0, 2)) AS paid, coalesce(sum(l.refused), toDecimal128(0, 2)) AS denied
FROM {database:Identifier}.claims AS c
JOIN {database:Identifier}.clinics AS k ON k.clinic_id = c.clinic_id
LEFT JOIN (SELECT claim_id, sum(amount) AS received FROM {database:Identifier}.payments GROUP BY claim_id) AS p ON p.claim_id = c.claim_id
LEFT JOIN (SELECT claim_id, sum(denied) AS refused FROM {database:Identifier}.claim_lines GROUP BY claim_id) AS l ON l.claim_id = c.claim_id
GROUP BY k.name, toStartOfMonth(c.service_date), c.plan
ORDER BY k.name, toStartOfMonth(c.service_date), c.plan
SETTINGS join_use_nulls = 1, aggregate_functions_null_for_empty = 1, prefer_column_name_to_alias = 1,
         enable_extended_results_for_datetime_functions = 1`

// row is one line of the answer; month is its first day at midnight UTC, amounts are exact, in dollars.
type row struct {
	Clinic string          `ch:"clinic"`
	Month  time.Time       `ch:"month"`
	Plan   string          `ch:"plan"`
	Claims int64           `ch:"claims"`
	Paid   decimal.Decimal `ch:"paid"`
	Denied decimal.Decimal `ch:"denied"`
}

// Result is an answer and what it took.
type Result struct {
	// Rows is the number of groups.
	Rows int
	// Digest is the SHA-256, in hex, of all rows in their order as text: equal digests mean equal answers.
	Digest string
	// Elapsed is from sending the query to having read its last row.
	Elapsed time.Duration
}

// RunPostgres asks Postgres ETLPostgres.
func RunPostgres(ctx context.Context, conn *pgx.Conn) (Result, error) {
	start := time.Now()
	rows, err := conn.Query(ctx, ETLPostgres)
	if err != nil {
		return Result{}, fmt.Errorf("ask Postgres the ETL question: %w", err)
	}
	answer, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return Result{}, fmt.Errorf("read Postgres' answer to the ETL question: %w", err)
	}
	return summarise(answer, time.Since(start)), nil
}

// RunClickHouse asks ClickHouse ETLClickHouse of the views in database.
func RunClickHouse(ctx context.Context, conn driver.Conn, database string) (Result, error) {
	start := time.Now()
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"database": database}))
	var answer []row
	if err := conn.Select(ctx, &answer, ETLClickHouse); err != nil {
		return Result{}, fmt.Errorf("ask ClickHouse the ETL question: %w", err)
	}
	return summarise(answer, time.Since(start)), nil
}

// summarise makes the result of an answer. Each row is hashed in its one canonical form; tabs keep neighbours apart.
func summarise(answer []row, elapsed time.Duration) Result {
	h := sha256.New()
	for _, r := range answer { // a hash never fails
		fmt.Fprintf(h, "%s\t%s\t%s\t%d\t%s\t%s\n", r.Clinic, r.Month.Format(time.DateOnly), r.Plan, r.Claims, r.Paid.StringFixed(2), r.Denied.StringFixed(2))
	}
	return Result{Rows: len(answer), Digest: hex.EncodeToString(h.Sum(nil)), Elapsed: elapsed}
}
