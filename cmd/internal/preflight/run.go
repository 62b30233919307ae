package preflight

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/schemas"
)

// How long the parts may take: Postgres less than the others, since these wait for its tables. Together they bound the
// whole run.
const (
	postgresTime = 9 * time.Second
	partTime     = 12 * time.Second
	// connectTime is how long one part may take to answer at all.
	connectTime = 5 * time.Second
)

// The parts, as reports name them.
const (
	partConfig     = "config"
	partPostgres   = "postgres"
	partKafka      = "kafka"
	partRegistry   = "registry"
	partClickHouse = "clickhouse"
	partPipeline   = "pipeline"
)

// run is one preflight.
type run struct {
	config *config.Config
	trial  *pipeline.Trial
	wanted *recorder
	// tables is what Postgres says of the captured tables, nil as long as it has not; closed is listed once that is
	// known, or known to stay unknown.
	tables []*cdc.Table
	listed chan struct{}
	parts  map[string]*part
	// relations are the captured tables' columns, by OID, with the keys that they have once they are fixed. Postgres'
	// part reads them.
	relations map[uint32]*schemas.Relation

	mu sync.Mutex // guards outlook
	combined
}

// Run checks every part, all at the same time, and takes at most about 13 s. An error says that the config cannot be
// used.
func Run(ctx context.Context, c *config.Config) (Report, error) {
	r := &run{config: c, wanted: &recorder{}, listed: make(chan struct{}), parts: map[string]*part{}}
	names := []string{partConfig, partPostgres, partKafka, partRegistry, partClickHouse, partPipeline}
	for _, name := range names {
		r.parts[name] = &part{name: name}
	}
	var err error
	if r.trial, err = pipeline.NewTrial(c, r.wanted); err != nil {
		return Report{}, err
	}
	r.checkConfig(r.parts[partConfig])
	var wg sync.WaitGroup
	for _, look := range []struct {
		part      string
		limit     time.Duration
		slug, try string
		look      func(context.Context, *part)
	}{
		{partPostgres, postgresTime, "postgres-connect", "look at Postgres' load, and at the way to it", r.checkPostgres},
		{partKafka, partTime, "kafka-connect", "look at the brokers' health, and at the way to each of them", r.checkKafka},
		{partRegistry, partTime, "registry-connect", "look at the registry's log, and at the way to it", r.checkRegistry},
		{partClickHouse, partTime, "clickhouse-connect", "look at ClickHouse's load, and at the way to it", r.checkClickHouse},
		{partPipeline, partTime, "pipeline-state", "see which other part does not answer", r.checkPipeline},
	} {
		wg.Go(func() {
			p := r.parts[look.part]
			p.run(ctx, look.limit, look.slug, r.where(look.part), look.try, func(ctx context.Context) { look.look(ctx, p) })
			if look.part == partPostgres {
				r.closeListed()
			}
		})
	}
	wg.Wait()
	r.judgeMissingSlot(r.parts[partPostgres])
	r.judgeUnmatchedNames()
	report := Report{OK: true, Checks: []Check{}}
	for _, name := range names {
		report.Checks = append(report.Checks, r.parts[name].close()...)
	}
	for _, c := range report.Checks {
		report.OK = report.OK && c.OK
	}
	return report, ctx.Err()
}

// closeListed lets the other parts go on without the tables, if they are not known by now.
func (r *run) closeListed() {
	p := r.parts[partPostgres]
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-r.listed:
	default:
		close(r.listed)
	}
}

// list gives the tables to the other parts, and says that these are all.
func (r *run) list(tables []*cdc.Table) {
	p := r.parts[partPostgres]
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-r.listed:
	default:
		r.tables = slices.Clone(tables)
		if r.tables == nil {
			r.tables = []*cdc.Table{}
		}
		close(r.listed)
	}
}

// captured waits for the tables that can be captured; none if Postgres could not be asked.
func (r *run) captured(ctx context.Context) []*cdc.Table {
	select {
	case <-r.listed:
	case <-ctx.Done():
		return nil
	}
	var out []*cdc.Table
	for _, t := range r.tables {
		if t.Refused == nil && t.BlocksStart == nil {
			out = append(out, t)
		}
	}
	return out
}

// unlisted says why the tables could not be read; empty if they were. captured has been called before.
func (r *run) unlisted() string {
	p := r.parts[partPostgres]
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.tables != nil {
		return ""
	}
	for _, c := range p.checks {
		if c.away {
			return "Postgres is not reachable"
		}
	}
	return "Postgres did not tell its tables"
}

// recorder is a registry that only listens: it keeps what a start would register.
type recorder struct {
	mu      sync.Mutex
	schemas []subjectSchema
}

type subjectSchema struct{ subject, schema string }

var _ schemas.Registry = (*recorder)(nil)

// Register implements schemas.Registry.
func (r *recorder) Register(_ context.Context, subject, schema string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.schemas = append(r.schemas, subjectSchema{subject, schema})
	return len(r.schemas), nil
}

// Schema implements schemas.Registry: nothing is read while nothing is started.
func (r *recorder) Schema(_ context.Context, id int) (string, error) {
	return "", fmt.Errorf("read schema %d: %w", id, schemas.ErrNoSchema)
}
