package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
)

// Slot implements cdc.Source.
func (s *Source) Slot(ctx context.Context) (cdc.SlotStatus, bool, error) {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return cdc.SlotStatus{}, false, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	return ReadSlot(ctx, conn, s.options.Slot)
}

// AttendName is the application_name of the connection that a capture of the slot's pipeline has as long as it runs.
func AttendName(slot string) string {
	const most = 63 // Postgres cuts off the rest
	name := CaptureName + " captures by " + slot
	if len(name) > most {
		name = fmt.Sprintf("%.54s %08x", name, crc32.ChecksumIEEE([]byte(slot)))
	}
	return name
}

// ConnectedSQL is a condition: a capture of the pipeline is connected to this database, whether it streams or not:
// before it has a slot, between two sessions. $2 is AttendName of the slot.
const ConnectedSQL = `EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $2 AND ` + ofCapture + `)`

// ofCapture is a condition on pg_stat_activity: the session may be a capture's of this database. Anybody can give a
// session the name of one, but a capture has our role, or another that may replicate.
const ofCapture = `datname = pg_catalog.current_database() AND usesysid IN
  (SELECT oid FROM pg_roles WHERE rolname = current_user OR rolsuper OR rolreplication)`

// slotSQL asks for as much as Postgres 14 knows: what is newer is read from the row as it is.
const slotSQL = `
SELECT coalesce(plugin, ''), coalesce(database, ''), coalesce(confirmed_flush_lsn, '0/0')::text, coalesce(restart_lsn, '0/0')::text, active,
  coalesce((pg_catalog.to_jsonb(s) ->> 'two_phase')::bool, false), coalesce(wal_status, ''), coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason', '')
FROM pg_replication_slots s WHERE slot_name = $1`

// ReadSlot reads a slot's status on any connection.
func ReadSlot(ctx context.Context, q Querier, slot string) (out cdc.SlotStatus, found bool, err error) {
	var confirmed, restart string
	err = q.QueryRow(ctx, slotSQL, slot).
		Scan(&out.Plugin, &out.Database, &confirmed, &restart, &out.Active, &out.TwoPhase, &out.WALStatus, &out.Invalidation)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, false, nil
	}
	if err != nil {
		return out, false, fmt.Errorf("read pg_replication_slots: %w", err)
	}
	if out.ConfirmedFlush, err = cdc.ParseLSN(confirmed); err != nil {
		return out, false, err
	}
	out.Restart, err = cdc.ParseLSN(restart)
	return out, true, err
}

// DropSlot implements cdc.Source. One from which a process streams is cdc.ErrRefused.
func (s *Source) DropSlot(ctx context.Context) error {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	_, err = conn.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", s.options.Slot)
	var said *pgconn.PgError
	switch {
	case !errors.As(err, &said):
		return err
	case said.Code == codeUndefined: // dropped meanwhile
		return nil
	case said.Code == codeInUse:
		return cdc.Refused("another process streams from slot %s", s.options.Slot).Fix("stop capture, then again")
	}
	return errors.New(ServerError(said.Code, said.Message))
}

// CreateSlot implements cdc.Source.
func (s *Source) CreateSlot(ctx context.Context) (cdc.LSN, error) {
	conn, err := s.options.Login.connectReplication(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is open on it
	options := pglogrepl.CreateReplicationSlotOptions{SnapshotAction: "NOEXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication}
	created, err := pglogrepl.CreateReplicationSlot(ctx, conn, s.options.Slot, "pgoutput", options)
	if err != nil {
		return 0, slotError(s.options.Slot, s.options.Login.User(), err)
	}
	return cdc.ParseLSN(created.ConsistentPoint)
}

func slotError(name, user string, err error) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return fmt.Errorf("CREATE_REPLICATION_SLOT %s: %w", name, err)
	}
	refused := cdc.Refused("%s", said.Message)
	switch said.Code {
	case "55000": // object_not_in_prerequisite_state
		return refused.Fix("ALTER SYSTEM SET wal_level = logical, then restart Postgres")
	case codeNoRight:
		return refused.FixBy("a superuser", "%s", LetReplicate(user))
	case "53400": // configuration_limit_exceeded
		return refused.Fix("raise max_replication_slots and restart Postgres").
			Fix("drop a slot that is not used: SELECT slot_name FROM pg_replication_slots WHERE NOT active")
	}
	return fmt.Errorf("CREATE_REPLICATION_SLOT %s: %s", name, ServerError(said.Code, said.Message))
}
