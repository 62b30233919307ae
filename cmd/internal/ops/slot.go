package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"dirtbike/cdc"
)

// slotFacts is what Postgres says of the slot and its log at one moment.
type slotFacts struct {
	name string
	at   time.Time // the server's clock
	// current is the end of the log, bytes since its start.
	current int64
	// keep is max_slot_wal_keep_size in bytes, negative without a limit.
	keep int64
	// found says that the slot exists; the fields below are of it.
	found, active bool
	walStatus     string
	// since is when it became inactive; zero if Postgres (before 17) does not say, or while it is active.
	since time.Time
	// safe is safe_wal_size: how much more may be written before the slot is lost; negative if Postgres does not say.
	safe, retained int64
}

const slotSQL = `
SELECT clock_timestamp(), (w.lsn - '0/0'::pg_lsn)::bigint,
  (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
  s.slot_name IS NOT NULL, coalesce(s.active, false), coalesce(s.wal_status, ''), coalesce(s.safe_wal_size, -1),
  coalesce(w.lsn - s.restart_lsn, 0)::bigint, (to_jsonb(s) ->> 'inactive_since')::timestamptz
FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) w
LEFT JOIN pg_replication_slots s ON s.slot_name = $1`

// VerbName is the application_name of connections to Postgres that look and do not capture: those of capture alone bear that of
// replication.SessionSettings, by which the verbs see that one is there.
const VerbName = "dirtbike looks"

// Querier is what ops needs of Postgres; *pgxpool.Pool has it. It must be safe for concurrent use.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readSlot(ctx context.Context, pg Querier, slot string) (slotFacts, error) {
	f := slotFacts{name: slot}
	var since pgtype.Timestamptz
	began := time.Now()
	err := pg.QueryRow(ctx, slotSQL, slot).Scan(&f.at, &f.current, &f.keep, &f.found, &f.active, &f.walStatus, &f.safe, &f.retained, &since)
	if err != nil {
		return f, postgresError(ctx, "ask Postgres for slot "+slot, began, err)
	}
	f.since = since.Time // zero if there is none
	return f, nil
}

const (
	// hoursAhead is how long before the slot is lost, at the present rate, its check fails.
	hoursAhead = 4 * time.Hour
	// growthWindow is over how long the rate is measured.
	growthWindow = 10 * time.Minute
	// growthLeast is the shortest time that gives a rate.
	growthLeast = 30 * time.Second
	// uncapped is how much log the slot may hold back where Postgres has no limit and would fill its disk.
	uncapped = 32 << 30
)

// growth measures how fast the log held back grows; a healthy slot's does not.
type growth struct {
	samples []slotFacts // ascending in time, not older than growthWindow
}

// rate gives bytes per second; ok is false as long as too little has been seen.
func (g *growth) rate(now slotFacts) (perSecond float64, ok bool) {
	if n := len(g.samples); n > 0 && now.current < g.samples[n-1].current {
		g.samples = g.samples[:0] // another server, or one that was restored
	}
	for len(g.samples) > 1 && now.at.Sub(g.samples[0].at) > growthWindow {
		g.samples = g.samples[1:]
	}
	g.samples = append(g.samples, now)
	first := g.samples[0]
	elapsed := now.at.Sub(first.at)
	if elapsed < growthLeast {
		return 0, false
	}
	return float64(now.retained-first.retained) / elapsed.Seconds(), true
}

// dead says why nothing can come through the slot any more, or nothing does at present, and what to do; "" if all is well. point
// is what ClickHouse is complete up to, 0 before there is such a point.
func (f slotFacts) dead(phase string, point cdc.LSN) (why, try string) {
	switch {
	case point > 0 && !f.found:
		return fmt.Sprintf("slot %s is gone: changes since %s cannot be read", f.name, point), cdc.StartAnew
	case f.walStatus == "lost":
		return fmt.Sprintf("slot %s was invalidated by Postgres: changes since %s cannot be read", f.name, point), cdc.StartAnew + ", and a larger max_slot_wal_keep_size"
	case f.found && !f.active && phase == string(cdc.PhaseStreaming):
		since := ""
		if !f.since.IsZero() {
			since = " since " + f.since.UTC().Format(time.RFC3339)
		}
		return fmt.Sprintf("no capture is running (slot %s is inactive%s, Postgres keeps %s of log for it)", f.name, since, size(&f.retained)), "dirtbike run, or dirtbike capture"
	}
	return "", ""
}

// judge says whether the slot is in danger, while there is time to act.
func (f slotFacts) judge(slot string, perSecond float64, known bool) error {
	switch {
	case !f.found:
		return fmt.Errorf("slot %s does not exist: changes from now on would be missed. Try: dirtbike run, which creates it at a first start and otherwise says what is lost", slot)
	case f.walStatus == "lost":
		return fmt.Errorf("Postgres has invalidated slot %s: changes are lost. Try: "+cdc.StartAnew+", and a larger max_slot_wal_keep_size", slot)
	case f.walStatus == "unreserved":
		return fmt.Errorf("slot %s holds more than max_slot_wal_keep_size and is lost at the next checkpoint. Try: ALTER SYSTEM SET max_slot_wal_keep_size = '%dMB'; SELECT pg_reload_conf(); and see which check fails beside this one", slot, f.retained>>19)
	case f.keep < 0 && f.retained > uncapped:
		return fmt.Errorf("slot %s holds back %s of log and Postgres has no limit: its disk fills up. Try: see which check fails beside this one, and set max_slot_wal_keep_size", slot, size(&f.retained))
	case f.keep < 0 || f.safe < 0:
		return nil
	case f.safe < f.keep/5:
		return fmt.Errorf("slot %s is lost after another %s of log%s. Try: see which check fails beside this one, or raise max_slot_wal_keep_size", slot, size(&f.safe), hoursLeft(f.safe, perSecond, known))
	case known && perSecond > 0 && float64(f.safe)/perSecond < hoursAhead.Seconds():
		return fmt.Errorf("slot %s holds back %s and is lost%s at the present rate. Try: see which check fails beside this one, or raise max_slot_wal_keep_size", slot, size(&f.retained), hoursLeft(f.safe, perSecond, known))
	}
	return nil
}

func hoursLeft(safe int64, perSecond float64, known bool) string {
	if !known || perSecond <= 0 {
		return ""
	}
	return fmt.Sprintf(" in %.1f hours", float64(safe)/perSecond/3600)
}
