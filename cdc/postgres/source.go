package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"dirtbike/cdc"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// Options of a Source.
type Options struct {
	// Login to the database.
	Login Login
	// Slot and Publication by their names in Postgres.
	Slot, Publication string
	// Frames makes the decoder of one stream.
	Frames func() cdc.FrameDecoder
	// Snapshot makes a Snapshot from an exported snapshot's name; closing must call release, which lets the snapshot go.
	Snapshot func(name string, point cdc.LSN, release func(context.Context) error) cdc.Snapshot
	Log      *zap.Logger
}

// Source implements cdc.Source over libpq's protocol. Each call makes its own connections.
type Source struct{ options Options }

var _ cdc.Source = (*Source)(nil)

// New makes a source; it connects to nothing yet.
func New(o Options) *Source {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Source{options: o}
}

// Identify implements cdc.Source.
func (s *Source) Identify(ctx context.Context) (cdc.Identity, error) {
	conn, err := s.options.Login.connectReplication(ctx)
	if err != nil {
		return cdc.Identity{}, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	if conn.ParameterStatus("server_encoding") == "SQL_ASCII" {
		return cdc.Identity{}, fmt.Errorf("%w: the database's encoding is SQL_ASCII, so that its texts are bytes of which nobody knows the meaning; one that is no UTF-8 would stop everything. Try: a database with ENCODING 'UTF8'", cdc.ErrRefused)
	}
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return cdc.Identity{}, fmt.Errorf("IDENTIFY_SYSTEM: %w", err)
	}
	out := cdc.Identity{
		System: system.SystemID, Timeline: uint32(system.Timeline), //nolint:gosec // timelines are small
		Database: system.DBName, Flushed: cdc.LSN(system.XLogPos),
	}
	if system.Timeline > 1 {
		history, err := pglogrepl.TimelineHistory(ctx, conn, system.Timeline)
		if err != nil {
			return cdc.Identity{}, fmt.Errorf("TIMELINE_HISTORY %d: %w", system.Timeline, err)
		}
		if out.Switches, err = parseHistory(string(history.Content)); err != nil {
			return cdc.Identity{}, err
		}
	}
	return out, nil
}

// parseHistory reads a timeline history file: "<timeline>\t<switch point>\t<reason>" a line.
func parseHistory(content string) ([]cdc.TimelineSwitch, error) {
	var out []cdc.TimelineSwitch
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("timeline history: line of %d fields", len(fields))
		}
		timeline, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("timeline history: %w", err)
		}
		at, err := cdc.ParseLSN(fields[1])
		if err != nil {
			return nil, fmt.Errorf("timeline history: %w", err)
		}
		out = append(out, cdc.TimelineSwitch{Timeline: uint32(timeline), At: at})
	}
	return out, nil
}

// Slot implements cdc.Source.
func (s *Source) Slot(ctx context.Context) (cdc.SlotStatus, bool, error) {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return cdc.SlotStatus{}, false, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	status, found, err := ReadSlot(ctx, conn, s.options.Slot)
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1)",
			CopyName(s.options.Slot)).Scan(&status.Copying)
	}
	return status, found, err
}

// CopyName is the application_name of the connection that holds a snapshot for copies of the slot's pipeline.
func CopyName(slot string) string {
	const most = 63 // Postgres cuts off the rest
	name := CaptureName + " copies for " + slot
	if len(name) > most {
		name = fmt.Sprintf("%.54s %08x", name, crc32.ChecksumIEEE([]byte(slot)))
	}
	return name
}

// ReadSlot reads a slot's status on any connection, but for Copying.
func ReadSlot(ctx context.Context, conn *pgx.Conn, slot string) (cdc.SlotStatus, bool, error) {
	invalidation := "''"
	if serverMajor(conn) >= 17 {
		invalidation = "coalesce(invalidation_reason, '')"
	}
	var out cdc.SlotStatus
	var confirmed, restart string
	err := conn.QueryRow(ctx, `SELECT coalesce(plugin, ''), coalesce(database,''), coalesce(confirmed_flush_lsn,'0/0')::text, coalesce(restart_lsn,'0/0')::text,
		active, two_phase_or_false, coalesce(wal_status,''), `+invalidation+` FROM (SELECT *, coalesce((to_jsonb(s)->>'two_phase')::bool, false) AS two_phase_or_false
		FROM pg_replication_slots s WHERE slot_name = $1) s`, slot).
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

// serverMajor gives the server's major version; 0 if it does not say.
func serverMajor(conn *pgx.Conn) int {
	version := conn.PgConn().ParameterStatus("server_version")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, _ := strconv.Atoi(version[:end]) // "" counts as 0, the oldest
	return n
}

// DropSlot implements cdc.Source. One that somebody streams from is cdc.ErrRefused.
func (s *Source) DropSlot(ctx context.Context) error {
	conn, err := s.options.Login.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	_, err = conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", s.options.Slot)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	switch pgErr.Code {
	case "42704": // undefined_object: somebody was faster
		return nil
	case "55006": // object_in_use
		return fmt.Errorf("%w: somebody streams from it. Try: stop capture, then again", cdc.ErrRefused)
	}
	return errors.New(ServerError(pgErr.Code, pgErr.Message))
}

// CreateSlot implements cdc.Source.
func (s *Source) CreateSlot(ctx context.Context) (cdc.Snapshot, error) {
	return s.createSlot(ctx, s.options.Slot, false)
}

// TemporarySnapshot implements cdc.Source.
func (s *Source) TemporarySnapshot(ctx context.Context) (cdc.Snapshot, error) {
	name := fmt.Sprintf("%.40s_snap_%d", s.options.Slot, time.Now().UnixNano()%1_000_000_000)
	return s.createSlot(ctx, name, true)
}

// createSlot creates a slot and exports its snapshot, which lives while the connection does nothing else.
func (s *Source) createSlot(ctx context.Context, name string, temporary bool) (cdc.Snapshot, error) {
	login := s.options.Login
	login.Name = CopyName(s.options.Slot)
	conn, err := login.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	created, err := pglogrepl.CreateReplicationSlot(ctx, conn, name, "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Temporary: temporary, SnapshotAction: "EXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication,
	})
	if err != nil {
		_ = conn.Close(ctx) // the error that matters is the other one
		return nil, slotError(name, login.User(), err)
	}
	point, err := cdc.ParseLSN(created.ConsistentPoint)
	if err != nil {
		_ = conn.Close(ctx) // as above
		return nil, err
	}
	return s.options.Snapshot(created.SnapshotName, point, conn.Close), nil
}

func slotError(name, user string, err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return fmt.Errorf("CREATE_REPLICATION_SLOT %s: %w", name, err)
	}
	switch pgErr.Code {
	case "55000": // object_not_in_prerequisite_state
		return fmt.Errorf("%w: %s. Try: ALTER SYSTEM SET wal_level = logical, then restart Postgres", cdc.ErrRefused, pgErr.Message)
	case "42501": // insufficient_privilege
		return fmt.Errorf("%w: %s. Try, as a superuser: %s", cdc.ErrRefused, pgErr.Message, LetReplicate(user))
	case "53400": // configuration_limit_exceeded
		return fmt.Errorf("%w: %s. Try: raise max_replication_slots, or drop a slot that nobody uses", cdc.ErrRefused, pgErr.Message)
	}
	return fmt.Errorf("CREATE_REPLICATION_SLOT %s: %s", name, ServerError(pgErr.Code, pgErr.Message))
}
