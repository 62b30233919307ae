package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// Options of a Source.
type Options struct {
	Login Login // to the database
	// Slot and Publication by their names in Postgres.
	Slot, Publication string
	// Log may be nil.
	Log *zap.Logger
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
		return cdc.Identity{}, cdc.Refused("the database's encoding is SQL_ASCII: what its bytes mean is unknown, and text that is not UTF-8 would stop everything").
			Fix("a database with ENCODING 'UTF8'")
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
		at, err2 := cdc.ParseLSN(fields[1])
		if err := cmp.Or(err, err2); err != nil {
			return nil, fmt.Errorf("timeline history: %w", err)
		}
		out = append(out, cdc.TimelineSwitch{Timeline: uint32(timeline), At: at})
	}
	return out, nil
}
