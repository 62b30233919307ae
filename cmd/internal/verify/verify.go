package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// Options of Run. Zero values take the defaults named.
type Options struct {
	// Source is the URL of the primary; it may hold a password and is never printed.
	Source string
	// ClickHouse has the views in Database. It must allow two connections at once.
	ClickHouse driver.Conn
	Database   string
	// Tables to compare, in this order, with the policies under which they are captured and the topics' prefix.
	Tables   []*schemas.Relation
	Policies schemas.Policies
	Prefix   string
	// Refused tables cannot be compared: why, by "schema.table". They are reported, too.
	Refused map[string]*cdc.Problem
	// Slot from which capture reads, to say if no capture runs; "" does not check that.
	Slot string
	// ChunkRows are compared at once. Default 20,000.
	ChunkRows int
	// RowsPerSecond limits what is read from Postgres; 0 means no limit.
	RowsPerSecond int
	// Epoch is the one that capture writes under; what is complete under a former one is not complete. 0: any.
	Epoch uint32
	// Timeout is how long to wait for ClickHouse to be complete up to a position. Default 60 s.
	Timeout time.Duration
	// OnProgress is called after each chunk with the table that is being compared, "schema.table", and its rows so far;
	// nil is silent. It must not block.
	OnProgress func(table string, rows int64)
	// OnWait is called with a line for people that says whose lock in Postgres keeps the comparison waiting, once that
	// has lasted for about 3 seconds, every 30 then, and when it has ended. One goroutine calls it; nil asks nothing.
	OnWait func(line string)
	Log    *zap.Logger
}

func (o *Options) defaults() {
	o.ChunkRows, o.Timeout, o.Log = cmp.Or(o.ChunkRows, 20_000), cmp.Or(o.Timeout, time.Minute), cmp.Or(o.Log, zap.NewNop())
	if o.OnProgress == nil {
		o.OnProgress = func(string, int64) {}
	}
}

// verifier is one run.
type verifier struct {
	Options
	// reading streams chunks while control asks for positions, writes messages and reads rows again.
	reading, control *wait.Source
	ledger           *ledger.Ledger
	limit            *rate.Limiter
	// pids are the processes of both in Postgres; 0 for none.
	pids [2]atomic.Uint32
}

// Run compares the tables one after the other. The report is complete if the error is nil; ErrNothingCompared if no
// table could be compared, ErrBehind if ClickHouse did not follow in time, ErrNoCapture if no capture runs,
// ErrUnreachable if a server went away. Both servers are only read, except for logical messages that dirtbike alone
// reads.
func Run(ctx context.Context, o Options) (Report, error) {
	o.defaults()
	v := &verifier{Options: o, ledger: ledger.New(o.ClickHouse, o.Database), limit: rate.NewLimiter(rate.Inf, o.ChunkRows)}
	if o.RowsPerSecond > 0 {
		v.limit.SetLimit(rate.Limit(o.RowsPerSecond))
	}
	defer func() {
		v.reading.Close(context.WithoutCancel(ctx))
		v.control.Close(context.WithoutCancel(ctx))
	}()
	defer v.watchLocks(ctx)()
	return v.tables(ctx)
}

func (v *verifier) tables(ctx context.Context) (Report, error) {
	report, compared := Report{Equal: true, Tables: []TableReport{}}, false
	for _, rel := range v.Tables {
		r := &run{verifier: v, TableReport: TableReport{Table: rel.FullName()}, seed: maphash.MakeSeed()}
		err := r.run(ctx, rel)
		switch {
		case ctx.Err() != nil: // whoever ended it is to blame, and no server or table
			return Report{}, ctx.Err()
		case err == nil:
			r.Equal, compared = r.DifferingKeys == 0, true
			v.Log.Debug("table compared", zap.String("table", r.Table), zap.Int64("rows", r.RowsSource), zap.Int64("differing_keys", r.DifferingKeys))
		case errors.Is(err, errInexact):
			r.Reason = cdc.Explain(err)
			r.Reason.Kind = nil // the report says so
			v.Log.Warn("table not compared", zap.String("table", r.Table), zap.Error(r.Reason))
		case errors.Is(err, cdc.ErrRefused): // a refused login concerns all tables
			return Report{}, err
		default:
			return Report{}, fmt.Errorf("compare %s: %w", r.Table, err)
		}
		report.add(r.TableReport, r.epoch, r.at)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Refused)) {
		why := v.Refused[name]
		v.Log.Warn("table not compared", zap.String("table", name), zap.Error(why))
		report.add(TableReport{Table: name, Reason: why}, 0, 0)
	}
	slices.SortFunc(report.Tables, func(a, b TableReport) int { return cmp.Compare(a.Table, b.Table) }) // as status does
	if !compared {
		report.Equal = false
		return report, nothing(report)
	}
	return report, nil
}

// nothing is the error that no table was compared, with the reason if all have the same.
func nothing(r Report) error {
	p := &cdc.Problem{Kind: wait.ErrNothingCompared}
	if len(r.Tables) == 1 && r.Tables[0].Reason != nil {
		p.Where, p.Cause = r.Tables[0].Table, r.Tables[0].Reason
	}
	return p.OrFix("dirtbike status")
}
