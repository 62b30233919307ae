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
// pg_recvlogical, which drains the same log over TCP into nothing.
func (r *run) stream(ctx context.Context, p *rowPath) error {
	tool, err := findRecvlogical()
	if err != nil {
		return err
	}
	for _, binary := range forms(p.source.Binary) {
		c := Comparison{
			Measure: MeasureStream, Table: p.table.name, Form: formName(binary), Rows: p.rows, Least: leastStream, AllocationsCounted: true,
			Reference: "pg_recvlogical -P pgoutput -o proto_version=1, over TCP, into " + os.DevNull,
			Product:   "capture as it ships, stream in " + formName(binary) + " form, encoded to Avro, into a sink that discards",
		}
		err := r.alternate(ctx, &c,
			func(ctx context.Context) (time.Duration, error) { return p.drain(ctx, tool) },
			func(ctx context.Context, a *allocations) (time.Duration, error) { return p.follow(ctx, binary, a) })
		if err != nil {
			return err
		}
		r.tableFacts(p).AvroBytes = p.bytes / p.rows
	}
	return nil
}

// forms are the wire forms to measure: binary is used where every type of every captured table has a decoder, text
// elsewhere.
func forms(binary bool) []bool {
	if binary {
		return []bool{true, false}
	}
	return []bool{false}
}

func formName(binary bool) string {
	if binary {
		return "binary"
	}
	return "text"
}

// findRecvlogical finds Postgres' own client. Debian's in PATH is a script that looks for the right version, so the
// program itself comes first.
func findRecvlogical() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_recvlogical")
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath("pg_recvlogical")
	if err != nil {
		return "", cdc.Failed("pg_recvlogical, the reference of the stream, is not here").Of(ErrOptions).
			Fix("apt-get install postgresql-client, or --only copy,load,latency")
	}
	return path, nil
}

// copySlot copies the slot for one pass; drop removes the copy.
func (p *rowPath) copySlot(ctx context.Context) (name string, drop func() error, err error) {
	name = p.nextSlot()
	if _, err = p.conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot($1, $2)", slotName, name); err != nil {
		return "", nil, fmt.Errorf("copy the slot: %w", err)
	}
	return name, func() error { return p.dropSlot(ctx, name) }, nil
}

// drain reads the log with pg_recvlogical.
func (p *rowPath) drain(ctx context.Context, tool string) (took time.Duration, err error) {
	slot, drop, err := p.copySlot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	cmd := exec.CommandContext(ctx, tool, "--start", "--dbname", p.url, "--slot", slot, "--plugin", "pgoutput",
		"--option", "proto_version=1", "--option", "publication_names="+p.table.name, "--file", os.DevNull, "--no-loop", "--endpos", p.end.String())
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("pg_recvlogical: %w: %s", err, out)
	}
	return took, nil
}

// follow lets capture read the log: from the commit before it follows to the commit after the last row.
func (p *rowPath) follow(ctx context.Context, binary bool, a *allocations) (took time.Duration, err error) {
	slot, drop, err := p.copySlot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	state := p.state
	state.Source.Slot, state.Tables = slot, maps.Clone(state.Tables)
	sink := &discard{state: &state, from: cdc.PhaseStreaming, counted: a, through: func(d *discard) bool { return d.records >= p.rows }}
	took, err = p.capture(ctx, slot, sink, func(t *cdc.Table) { t.Binary = t.Binary && binary })
	if err == nil && sink.records != p.rows {
		err = fmt.Errorf("the log of table %s gave %d rows of %d", p.table.name, sink.records, p.rows)
	}
	return took, err
}
