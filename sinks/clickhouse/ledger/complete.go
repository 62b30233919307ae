package ledger

import (
	"context"
	"math/big"
	"time"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Point is what a row of `complete` says: every commit up to it is queryable.
type Point struct {
	Table    string // the real name "schema.table"; "" is everything
	Position cdc.Position
	LSN      cdc.LSN // where the commit ends
	Time     int64   // Time of the commit, microseconds since 1970-01-01 UTC
}

// version orders the points of a table: by epoch, then LSN, then time, so that no loader can turn `complete` back.
func (p Point) version() *big.Int {
	v := new(big.Int).SetUint64(uint64(p.Position.Epoch))
	v.Or(v.Lsh(v, 64), new(big.Int).SetUint64(uint64(p.LSN)))
	return v.Or(v.Lsh(v, 64), new(big.Int).SetInt64(max(p.Time, 0)))
}

// Points gives the newest point of each table.
func (l *Ledger) Points(ctx context.Context) ([]Point, error) {
	sql := "SELECT `table`, epoch, commit_lsn, ordinal, lsn, toUInt64(toUnixTimestamp64Micro(time)) FROM " + l.table("complete") + " FINAL"
	return query(ctx, l, "what is complete", sql, func(p *Point) []any {
		return []any{&p.Table, &p.Position.Epoch, (*uint64)(&p.Position.CommitLSN), &p.Position.Ordinal, (*uint64)(&p.LSN), &p.Time}
	})
}

func (*Point) table() string { return "complete" }

func (p *Point) fields() []any {
	at := time.UnixMicro(p.Time).UTC()
	return []any{p.Table, p.Position.Epoch, uint64(p.Position.CommitLSN), p.Position.Ordinal, uint64(p.LSN), at, time.Now().UTC(), p.version()}
}

// Complete is one row of complete_up_to (rule 24).
type Complete struct {
	Table      string // the real name "schema.table"; "" is everything
	Epoch      uint32
	LSN        cdc.LSN   // LSN: every commit that ends at or before it is queryable
	CommitTime time.Time // CommitTime: no later commit carries an earlier time, within clock skew
	// Exact is false while a table is quarantined on either leg or has no complete copy yet; for "" while any table is
	// not.
	Exact       bool
	DeadLetters uint64 // DeadLetters counts the open ones
}

// Complete reads complete_up_to, ordered by table; none where a loader has never run. Where something of somebody's has
// its name, it asks what the view would.
func (l *Ledger) Complete(ctx context.Context) ([]Complete, error) {
	var taken bool
	err := l.Ask(ctx, "look for complete_up_to", "SELECT count() > 0 FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(l.database)+
		" AND name = "+schemas.ClickHouseLiteral(CompleteName)+" AND "+bears("(.*)")+" = ''", &taken)
	if err != nil {
		return nil, err
	}
	from := schemas.ClickHouseIdent(l.database) + "." + CompleteName
	if taken {
		from = "(" + l.named(completeSelect) + ")"
	}
	sql := "SELECT `table`, epoch, lsn, commit_time, exact, dead_letters FROM " + from + " ORDER BY `table`"
	return queryIfThere(ctx, l, l.database+".complete_up_to", sql, func(c *Complete) []any {
		return []any{&c.Table, &c.Epoch, (*uint64)(&c.LSN), &c.CommitTime, &c.Exact, &c.DeadLetters}
	})
}
