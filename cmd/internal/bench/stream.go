package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"dirtbike/cdc"
)

// stream compares capture that reads a slot, from the connection to encoded Avro in the sink's hands, with
// pg_recvlogical, which drains the same log over TCP into nothing. Binary form is measured where every type of the
// table has a decoder, text always, since other tables are streamed in text.
func (r *run) stream(ctx context.Context, p *rowPath) error {
	tool, err := findRecvlogical()
	if err != nil {
		return err
	}
	for _, form := range []string{"binary", "text"} {
		binary := form == "binary"
		if binary && !p.source.Binary {
			continue
		}
		err := r.alternate(Comparison{
			Measure: MeasureStream, Table: p.table.name, Form: form, Rows: p.rows, Least: leastStream, AllocationsCounted: true,
			Reference: "pg_recvlogical -P pgoutput -o proto_version=1, over TCP, into " + os.DevNull,
			Product:   "capture as it ships, stream in " + form + " form, encoded to Avro, into a sink that discards",
		}, func() (time.Duration, error) { return p.drain(ctx, tool) }, func(a *allocations) (time.Duration, error) { return p.follow(ctx, binary, a) })
		if err != nil {
			return err
		}
	}
	return nil
}

// findRecvlogical finds Postgres' own client.
func findRecvlogical() (string, error) { return recvlogicalIn("/usr/lib/postgresql/*/bin") }

// recvlogicalIn looks into folders, and then into those of PATH: there Debian's is a script that chooses the version.
func recvlogicalIn(folders string) (string, error) {
	found, err := filepath.Glob(filepath.Join(folders, "pg_recvlogical"))
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath("pg_recvlogical")
	if err != nil {
		return "", cdc.Failed("pg_recvlogical, the reference of the stream, is not here").Of(ErrOptions).Fix("apt-get install postgresql-client, or --only copy,load,latency")
	}
	return path, nil
}

// onSlot calls one pass with the name of a copy of the slot, which it drops afterwards.
func (p *rowPath) onSlot(ctx context.Context, pass func(slot string) (time.Duration, error)) (took time.Duration, err error) {
	slot := p.nextSlot()
	if _, err = p.conn.Exec(ctx, "SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2)", slotName, slot); err != nil {
		return 0, fmt.Errorf("copy the slot: %w", err)
	}
	took, err = pass(slot)
	return took, errors.Join(err, p.dropSlot(ctx, slot))
}

// drain reads the log with pg_recvlogical.
func (p *rowPath) drain(ctx context.Context, tool string) (time.Duration, error) {
	return p.onSlot(ctx, func(slot string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, tool, "--start", "--dbname", p.url, "--slot", slot, "--plugin", "pgoutput",
			"--option", "proto_version=1", "--option", "publication_names="+p.table.name, "--file", os.DevNull, "--no-loop", "--endpos", p.end.String())
		start := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("pg_recvlogical: %w: %s", err, out)
		}
		return time.Since(start), nil
	})
}

// follow runs capture over the log: from the commit before it streams to the commit after the last row.
func (p *rowPath) follow(ctx context.Context, binary bool, a *allocations) (time.Duration, error) {
	return p.onSlot(ctx, func(slot string) (time.Duration, error) {
		state := p.state
		state.Source.Slot, state.Tables = slot, maps.Clone(state.Tables)
		sink := &discard{state: &state, from: cdc.PhaseStreaming, counted: a, through: func(d *discard) bool { return d.records >= p.rows }}
		took, err := p.capture(ctx, slot, sink, binary)
		if err == nil && sink.records != p.rows {
			err = fmt.Errorf("the log of table %s gave %d rows of %d", p.table.name, sink.records, p.rows)
		}
		return took, err
	})
}
