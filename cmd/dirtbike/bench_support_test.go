package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/catalog"
	"dirtbike/cdc/pgcopy"
	"dirtbike/cdc/pgoutput"
	"dirtbike/cdc/replication"
	"dirtbike/cdc/snapshot"
	"dirtbike/docker/embedded"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The flags of the benchmarks. Reference and product take turns inside one run, because only figures of the same minute on the
// same machine can be divided by one another.
var (
	alternations = flag.Int("alternations", 5, "how often a benchmark runs reference and product in turn; it reports the pair with the median ratio")
	streamRows   = flag.Int64("stream-rows", 400_000, "rows in the log that BenchmarkStream reads")
	copyRows     = flag.Int64("copy-rows", 1_000_000, "rows in the table that BenchmarkCopy reads")
)

// The least that is promised, as a share of the reference's speed.
const leastStreamRatio, leastCopyRatio = 0.6, 0.4

// claimsSchema is a table of 9 columns whose rows have about 100 bytes, like the clinic's claims.
const claimsSchema = `
CREATE TYPE claim_status AS ENUM ('pending', 'paid', 'denied');
CREATE TABLE claims (
	id bigint PRIMARY KEY, patient_id bigint NOT NULL, clinic_id int NOT NULL, plan text NOT NULL, service_date date NOT NULL,
	status claim_status NOT NULL, billed numeric(12,2) NOT NULL, paid numeric(12,2) NOT NULL, denied numeric(12,2) NOT NULL
);
CREATE PUBLICATION bench FOR TABLE claims`

// fillClaims inserts so many claims in transactions of a thousand. The log is the same each time.
const fillClaims = `DO $$ BEGIN FOR batch IN 1..%d BY 1000 LOOP
	INSERT INTO claims SELECT i, i * 7919 %% 200000 + 1, i * 31 %% 120 + 1,
		(ARRAY['Bluewater PPO', 'Harbor HMO Silver', 'Harbor HMO Gold', 'Medicare Part B', 'Self pay'])[i %% 5 + 1],
		date '2021-01-01' + (i * 13 %% 1500)::int, (ARRAY['pending', 'paid', 'denied'])[i %% 3 + 1]::claim_status,
		(i * 104729 %% 4500000 + 500) / 100.0, (i * 15485863 %% 2500000) / 100.0, (i * 1299709 %% 900) / 100.0
	FROM generate_series(batch::bigint, least(batch + 999, %[1]d)) i;
	COMMIT;
END LOOP; END $$`

// claimsBench is a Postgres with a claims table, and what the product reads it with: the parts of the row path as the pipeline
// wires them, without Kafka behind them.
type claimsBench struct {
	testing.TB
	url     string
	conn    *pgx.Conn
	table   *cdc.Table
	tables  *catalog.Tables
	encoder cdc.TableEncoder
	chunk   cdc.Chunk
}

// chunkBytes is the size of the capture loop's chunks.
const chunkBytes = 1 << 20

// newClaimsBench starts Postgres alone and makes the empty table.
func newClaimsBench(t testing.TB) *claimsBench {
	t.Helper()
	b := &claimsBench{TB: t, url: startPostgres(t)}
	ctx := t.Context()
	var err error
	b.conn, err = pgx.Connect(ctx, b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.conn.Close(context.Background()) })
	b.exec(claimsSchema)
	b.tables = catalog.New(catalog.Options{
		URL: b.url, Settings: replication.SessionSettings, Prefix: "bench", Partitions: 6,
		Selection: everyTable{}, Policies: keepAll{}, Registry: new(countingRegistry),
	})
	t.Cleanup(func() { b.tables.Close(context.Background()) })
	list, err := b.tables.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	b.table = list[0]
	b.encoder, err = b.tables.Encoder(ctx, b.table)
	require.NoError(t, err)
	b.chunk.Bytes = make([]byte, 0, chunkBytes+chunkBytes/8)
	b.chunk.Records = make([]cdc.Record, 0, chunkBytes/64) // more than fit: chunks of the capture loop are reused, too
	return b
}

// startPostgres gives the URL of a server of its own, which nothing else disturbs.
func startPostgres(t testing.TB) string {
	t.Helper()
	requireTool(t, "npm", "apt-get install npm")
	dir, err := os.MkdirTemp("", "dirtbike-bench-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) // Postgres runs as another user when we are root
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	stack, err := embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(dir, "stack"), Parts: embedded.Parts{Postgres: true},
		// neither autovacuum nor a checkpoint may fall into one of two runs that are compared
		PostgresSettings: map[string]string{"autovacuum": "off", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "synchronous_commit": "off"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stack.Stop(context.Background()) })
	return stack.Postgres.URL()
}

func (b *claimsBench) exec(sql string) {
	b.Helper()
	_, err := b.conn.Exec(b.Context(), sql)
	require.NoError(b, err)
}

func (b *claimsBench) fill(rows int64) {
	b.Helper()
	b.exec(fmt.Sprintf(fillClaims, rows))
	b.exec("VACUUM (FREEZE, ANALYZE) claims")
	b.exec("CHECKPOINT")
}

// source is the pipeline's own, over the given slot.
func (b *claimsBench) source(slot string) *replication.Source {
	copying := snapshot.Options{URL: b.url, Settings: replication.SessionSettings, Rows: func() cdc.RowDecoder { return new(pgcopy.Reader) }}
	return replication.New(replication.Options{
		URL: b.url, Slot: slot, Publication: "bench",
		Frames: func() cdc.FrameDecoder { return new(pgoutput.Events) },
		Snapshot: func(name string, point cdc.LSN, release func(context.Context) error) cdc.Snapshot {
			return snapshot.New(copying, name, point, release)
		},
	})
}

// discard empties the chunk when the capture loop would send it on.
func (b *claimsBench) discard(m *cdc.Meta) {
	if len(b.chunk.Bytes) >= chunkBytes {
		b.chunk.Reset()
		m.Now = time.Now().UnixMicro()
	}
}

// allocations counts the process's allocations between two rows of one pass: connecting and the first row, which makes the
// reused memory, are not part of the row path.
type allocations struct {
	first, last  int64 // rows at which to look
	rows         int64
	before, seen uint64
}

// newAllocations looks at all rows but the first hundredth.
func newAllocations(rows int64) *allocations { return &allocations{first: rows/100 + 1, last: rows} }

// row is called after each row.
func (a *allocations) row() {
	a.rows++
	if a.rows == a.first {
		a.before = mallocs()
	}
	if a.rows == a.last {
		a.seen = mallocs() - a.before
	}
}

// perRow is the average.
func (a *allocations) perRow() float64 { return float64(a.seen) / float64(a.last-a.first) }

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// pair is what one pass of the reference and one of the product took, one right after the other.
type pair struct{ reference, product time.Duration }

// ratio is the product's speed as a share of the reference's.
func (p pair) ratio() float64 { return p.reference.Seconds() / p.product.Seconds() }

// turns are the passes of a benchmark over so many rows.
type turns struct {
	rows        int64
	pairs       []pair
	allocations []float64 // per row, of each of the product's passes
}

// alternate lets reference and product take turns; who begins changes each time.
func (t *turns) alternate(n int, reference func() time.Duration, product func(*allocations) time.Duration) {
	for i := range n {
		var p pair
		a := newAllocations(t.rows)
		if i%2 == 0 {
			p.reference = reference()
			p.product = product(a)
		} else {
			p.product = product(a)
			p.reference = reference()
		}
		t.pairs, t.allocations = append(t.pairs, p), append(t.allocations, a.perRow())
	}
}

// report writes metrics and a line to read, and fails the benchmark if the ratio lies below the least that is promised. All speeds are those of the pair with the median ratio: medians of their own would
// come from different minutes of a busy machine, and would not divide to the ratio.
func (t *turns) report(b *testing.B, name string, least float64) {
	b.Helper()
	slices.SortFunc(t.pairs, func(x, y pair) int { return cmp.Compare(x.ratio(), y.ratio()) })
	slices.Sort(t.allocations)
	middle := t.pairs[len(t.pairs)/2]
	reference, product := float64(t.rows)/middle.reference.Seconds(), float64(t.rows)/middle.product.Seconds()
	allocs := t.allocations[len(t.allocations)/2]
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(reference, "reference-rows/s")
	b.ReportMetric(product, "product-rows/s")
	b.ReportMetric(middle.ratio(), "ratio")
	b.ReportMetric(allocs, "allocs/row")
	b.Logf("%s: %.0fk rows/s against %.0fk (%.2f×, of %d pairs %.2f to %.2f), %.2f allocations a row", name,
		product/1000, reference/1000, middle.ratio(), len(t.pairs), t.pairs[0].ratio(), t.pairs[len(t.pairs)-1].ratio(), allocs)
	if middle.ratio() < least {
		b.Errorf("%s: the median ratio is %.2f, below %.2f", name, middle.ratio(), least)
	}
}

// TestRowPathsDoNotAllocate holds both row paths to no allocation per row, from the connection to the encoded record. What is
// allowed for is what happens now and then: a status message, a read buffer that the garbage collector took.
func TestRowPathsDoNotAllocate(t *testing.T) {
	const rows, allowed = 50_000, 0.02
	b := newClaimsBench(t)
	log := b.newLog(rows)
	t.Run("stream", func(t *testing.T) {
		a := newAllocations(rows)
		log.product(a)
		require.Less(t, a.perRow(), allowed)
		t.Logf("%.4f allocations a row", a.perRow())
	})
	t.Run("copy", func(t *testing.T) {
		a := newAllocations(rows)
		b.newCopy().product(a)
		require.Less(t, a.perRow(), allowed)
		t.Logf("%.4f allocations a row", a.perRow())
	})
}

// everyTable captures all there is.
type everyTable struct{}

func (everyTable) Match(string, string) bool       { return true }
func (everyTable) Check([]*schemas.Relation) error { return nil }

// keepAll publishes every column as it is.
type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }

// countingRegistry gives ids and keeps nothing.
type countingRegistry struct{ last int }

func (r *countingRegistry) Register(context.Context, string, string) (int, error) {
	r.last++
	return r.last, nil
}

func (r *countingRegistry) Schema(context.Context, int) (string, error) {
	return "", errors.New("a registry that keeps nothing was asked for a schema")
}
