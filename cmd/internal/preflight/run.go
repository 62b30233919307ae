// Package preflight checks, before a start, whether every part is as the pipeline needs it, and gives the command that
// fixes what is not. It changes nothing anywhere. Where a start has a check of its own, it runs that one.
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

// How long the parts may take: Postgres less than the others, which wait for its tables.
const (
	postgresTime = 9 * time.Second
	partTime     = 12 * time.Second
	// connectTime is how long one part may take for its first answer.
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
	// tables are the captured ones, nil if unknown: set once, before listed is closed.
	tables []*cdc.Table
	listed chan struct{}
	once   sync.Once
	parts  map[string]*part
	// relations are the captured tables' columns, by OID, with their keys after fixes; for Postgres' part.
	relations map[uint32]*schemas.Relation

	mu sync.Mutex // guards combined
	combined
}

// Run checks all parts at once, in about 13 s at most. An error says that the config cannot be used.
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
	for _, of := range []struct {
		part      string
		limit     time.Duration
		slug, try string
		check     func(context.Context, *part)
	}{
		{partPostgres, postgresTime, "postgres-connect", "look at Postgres' load, and at the way to it", r.checkPostgres},
		{partKafka, partTime, "kafka-connect", "look at the brokers' health, and at the way to each of them", r.checkKafka},
		{partRegistry, partTime, "registry-connect", "look at the registry's log, and at the way to it", r.checkRegistry},
		{partClickHouse, partTime, "clickhouse-connect", "look at ClickHouse's load, and at the way to it", r.checkClickHouse},
		{partPipeline, partTime, "pipeline-state", "see which other part does not answer", r.checkPipeline},
	} {
		wg.Go(func() {
			r.parts[of.part].run(ctx, of.limit, of.slug, r.where(of.part), of.try, of.check)
			if of.part == partPostgres {
				r.list(nil)
			}
		})
	}
	wg.Wait()
	r.judgeMissingSlot(r.parts[partPostgres])
	r.judgeUnmatchedNames()
	r.judgePrivacy(r.parts[partConfig])
	report := Report{Checks: []Check{}}
	for _, name := range names {
		report.Checks = append(report.Checks, r.parts[name].close()...)
	}
	report.OK = !slices.ContainsFunc(report.Checks, failed)
	return report, ctx.Err()
}

// list gives the tables to the other parts; the first call counts, and nil says that they cannot be known.
func (r *run) list(tables []*cdc.Table) {
	r.once.Do(func() {
		r.tables = tables
		close(r.listed)
	})
}

// captured waits for the tables that can be captured; none if Postgres could not be asked.
func (r *run) captured(ctx context.Context) []*cdc.Table {
	select {
	case <-r.listed:
	case <-ctx.Done():
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.tables), func(t *cdc.Table) bool { return t.Refused != nil || t.BlocksStart != nil })
}

// unlisted says why the tables could not be read; empty if they were. captured has been called before.
func (r *run) unlisted() string {
	select {
	case <-r.listed:
		if r.tables != nil {
			return ""
		}
	default:
	}
	if r.parts[partPostgres].any(func(c Check) bool { return c.away }) {
		return "Postgres is not reachable"
	}
	return "Postgres did not list its tables"
}

// recorder is a registry that keeps what a start would register.
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

// Schema implements schemas.Registry; a check reads no schemas.
func (r *recorder) Schema(_ context.Context, id int) (string, error) {
	return "", fmt.Errorf("read schema %d: %w", id, schemas.ErrNoSchema)
}
