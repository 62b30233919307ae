package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	Log        *zap.Logger
}

func (o *Options) defaults() {
	if o.ChunkRows <= 0 {
		o.ChunkRows = 20_000
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.OnProgress == nil {
		o.OnProgress = func(string, int64) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

// verifier is one run.
type verifier struct {
	Options
	// reading streams chunks while control asks for positions, writes messages and reads rows again.
	reading, control *wait.Source
	ledger           *ledger.Ledger
	limit            *rate.Limiter
}

// Run compares the tables one after the other. The report is complete if the error is nil; ErrNothingCompared if no
// table could be compared, ErrBehind if ClickHouse did not follow in time, ErrNobody if no capture runs, ErrUnreachable
// if a server went away. Both servers are only read, except for logical messages that dirtbike alone reads.
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
	return v.tables(ctx)
}

func (v *verifier) tables(ctx context.Context) (Report, error) {
	report, compared := Report{Equal: true, Tables: []TableReport{}}, false
	for _, rel := range v.Tables {
		result, epoch, at, err := v.table(ctx, rel)
		if errors.Is(err, errInexact) {
			why := cdc.Explain(err)
			why.Kind = nil // the report says so
			result.Equal, result.Reason, err = false, why, nil
			v.Log.Warn("table not compared", zap.String("table", rel.FullName()), zap.Error(why))
		} else if err == nil {
			compared = true
		}
		switch {
		case errors.Is(err, cdc.ErrRefused): // a login, which is no table's matter
			return Report{}, err
		case err != nil:
			return Report{}, fmt.Errorf("compare %s: %w", rel.FullName(), err)
		}
		report.add(result, epoch, at)
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

// nothing says that no table was compared, and why if there is one reason.
func nothing(r Report) error {
	p := &cdc.Problem{Kind: wait.ErrNothingCompared}
	if len(r.Tables) == 1 && r.Tables[0].Reason != nil {
		p.Where, p.Cause = r.Tables[0].Table, r.Tables[0].Reason
	}
	return p.OrFix("dirtbike status")
}

// table compares one table.
func (v *verifier) table(ctx context.Context, rel *schemas.Relation) (report TableReport, epoch uint32, at cdc.LSN, err error) {
	report.Table = rel.FullName()
	r, err := v.newRun(ctx, rel)
	if err != nil {
		return report, 0, 0, err
	}
	if err = r.run(ctx); err == nil {
		v.Log.Debug("table compared", zap.String("table", report.Table), zap.Int64("rows", r.rowsSource), zap.Int64("differing_keys", r.differing))
	}
	report.RowsSource, report.RowsSink, report.DifferingKeys = r.rowsSource, r.rowsSink, r.differing
	report.Equal = err == nil && r.differing == 0
	return report, r.epoch, r.at, err
}
