package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// slotFacts is the state of the slot and its log at one moment.
type slotFacts struct {
	name string
	at   time.Time // the server's clock
	// current is the end of the log, bytes since its start.
	current int64
	// keep is max_slot_wal_keep_size in bytes, negative without a limit.
	keep int64
	// found says that the slot exists; the fields below are of it.
	found, active bool
	// connected says that a capture of this database is connected to Postgres, whether it streams or not.
	connected bool
	walStatus string
	// lostBy says why Postgres has invalidated it; empty if it has not, or before Postgres 17.
	lostBy string
	// since is when it became inactive; zero if Postgres (before 17) does not say, or while it is active.
	since time.Time
	// safe is safe_wal_size: how much more may be written before the slot is lost; negative if Postgres does not say.
	safe, retained int64
	// unconfirmed is how much of the log no client has confirmed, in bytes.
	unconfirmed int64
	// waits is what a session of capture waits for in Postgres; nil for nothing.
	waits *cdc.Problem
	// spilled is what decoding has written to disk since the slot's statistics began, in bytes.
	spilled int64
}

const slotSQL = `
SELECT pg_catalog.clock_timestamp(), (w.lsn - '0/0'::pg_lsn)::bigint,
  (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
  s.slot_name IS NOT NULL, coalesce(s.active, false), coalesce(s.wal_status, ''), coalesce(CASE WHEN s.safe_wal_size < 0 THEN 0 ELSE s.safe_wal_size END, -1),
  coalesce(w.lsn - s.restart_lsn, 0)::bigint, coalesce(w.lsn - s.confirmed_flush_lsn, 0)::bigint, coalesce(c.spill_bytes, 0),
  (pg_catalog.to_jsonb(s) ->> 'inactive_since')::timestamptz, coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason', ''),
  ` + postgres.ConnectedSQL + `
FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) w
LEFT JOIN pg_replication_slots s ON s.slot_name = $1
LEFT JOIN pg_stat_replication_slots c ON c.slot_name = $1`

func readSlot(ctx context.Context, pg postgres.Querier, slot string) (slotFacts, error) {
	f := slotFacts{name: slot}
	var since pgtype.Timestamptz
	began := time.Now()
	row := pg.QueryRow(ctx, slotSQL, slot, postgres.AttendName(slot))
	err := row.Scan(&f.at, &f.current, &f.keep, &f.found, &f.active, &f.walStatus, &f.safe, &f.retained, &f.unconfirmed, &f.spilled, &since, &f.lostBy, &f.connected)
	if err != nil {
		return f, postgresError(ctx, "ask Postgres for slot "+slot, began, err)
	}
	f.since = since.Time // zero if there is none
	if f.connected {
		if f.waits, err = postgres.Waits(ctx, pg); err != nil {
			return f, postgresError(ctx, "ask Postgres", began, err)
		}
	}
	return f, nil
}

// problem is why no changes are read; nil for none. point is what ClickHouse is complete up to, 0 before there is one.
func (f slotFacts) problem(phase string, point cdc.LSN) *cdc.Problem {
	switch {
	case point > 0 && !f.found:
		return cdc.Failed("slot %s is gone: changes since %s cannot be read", f.name, point).Fix(cdc.ResnapshotAllCommand)
	case f.walStatus == "lost":
		return cdc.Failed("slot %s was invalidated by Postgres: changes since %s cannot be read", f.name, point).
			Fix("%s", cdc.LostSlotCommand(f.lostBy))
	case f.found && !f.active && phase == string(cdc.PhaseStreaming) && f.connected:
		return cdc.Failed("a capture is connected to Postgres and does not stream (%s)", f.inactive()).
			Fix("see its log, which says what keeps it, and Kafka's brokers")
	case f.nobodyReads(phase):
		return cdc.Failed("no capture is running (%s)", f.inactive()).Fix("dirtbike run").Fix("dirtbike capture")
	}
	return nil
}

// nobodyReads reports whether no capture reads a slot that should be read.
func (f slotFacts) nobodyReads(phase string) bool {
	return f.found && !f.active && !f.connected && f.walStatus != "lost" && phase == string(cdc.PhaseStreaming)
}

// inactive says since when no client streams from the slot, and what that costs.
func (f slotFacts) inactive() string {
	since := ""
	if !f.since.IsZero() {
		since = " since " + f.since.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("slot %s is inactive%s, Postgres keeps %s of log for it", f.name, since, size(f.retained))
}

// postgresError explains an error of Postgres or of the connection to it; began is when it was asked.
func postgresError(ctx context.Context, doing string, began time.Time, err error) *cdc.Problem {
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	p := cdc.Failed("%s", doing)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Because(hangs("Postgres", "source.url", began))
	case errors.As(err, &connect):
		p.Because(postgres.ConnectError(err))
	case errors.As(err, &said):
		p.What += ": " + postgres.ServerError(said.Code, said.Message)
		if !strings.HasPrefix(said.Code, "57") && !strings.HasPrefix(said.Code, "53") { // it starts, stops, or has no resources left
			p.Of(cdc.ErrRefused).Fix("dirtbike explain postgres-rights")
		}
	default:
		p.Because(err)
	}
	return p.OrFix("see that Postgres runs and source.url is right")
}
