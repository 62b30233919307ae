package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"dirtbike/cdc"
)

// stream compares the stream's row path, from the connection to encoded Avro, with pg_recvlogical, which drains the same log over
// TCP into nothing.
func (r *run) stream(ctx context.Context, p *rowPath) error {
	tool, err := findRecvlogical()
	if err != nil {
		return err
	}
	for _, binary := range forms(p.source.Binary) {
		c := Comparison{
			Measure: MeasureStream, Table: p.table.name, Form: formName(binary), Rows: p.rows, Least: leastStream, AllocationsCounted: true,
			Reference: "pg_recvlogical -P pgoutput -o proto_version=1, over TCP, into " + os.DevNull,
			Product:   "replication connection in " + formName(binary) + " form, decoded, encoded to Avro, one goroutine",
		}
		err := r.alternate(ctx, &c,
			func(ctx context.Context) (time.Duration, error) { return p.drain(ctx, tool) },
			func(ctx context.Context, a *allocations) (time.Duration, error) { return p.follow(ctx, binary, a) })
		if err != nil {
			return err
		}
		r.tableFacts(p).AvroBytes = p.encoded() / p.rows
	}
	return nil
}

// forms are the wire forms to measure: binary is used where every type of every captured table has a decoder, text elsewhere.
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

// findRecvlogical finds Postgres' own client. Debian's in PATH is a script that looks for the right version, so the program itself
// comes first.
func findRecvlogical() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_recvlogical")
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath("pg_recvlogical")
	if err != nil {
		return "", fmt.Errorf("%w: pg_recvlogical, the reference of the stream, is not here. Try: apt-get install postgresql-client, or --only copy,load,latency", ErrOptions)
	}
	return path, nil
}

// slot copies the slot for one pass; drop removes the copy, once the server has noticed that its reader is gone.
func (p *rowPath) slot(ctx context.Context) (name string, drop func() error, err error) {
	p.slots++
	name = fmt.Sprintf("pass_%d", p.slots)
	_, err = p.conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot('"+slotName+"', '"+name+"')")
	if err != nil {
		return "", nil, fmt.Errorf("copy the slot: %w", err)
	}
	return name, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		for _, sql := range []string{
			"SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active AND slot_name = '" + name + "'",
			"SELECT pg_drop_replication_slot('" + name + "')",
		} {
			if _, err := p.conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("drop the slot of a pass: %w", err)
			}
		}
		return nil
	}, nil
}

// drain reads the log with pg_recvlogical.
func (p *rowPath) drain(ctx context.Context, tool string) (took time.Duration, err error) {
	slot, drop, err := p.slot(ctx)
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

// follow reads the log as the capture loop does, on one goroutine, and encodes each row into a reused chunk.
func (p *rowPath) follow(ctx context.Context, binary bool, a *allocations) (took time.Duration, err error) {
	slot, drop, err := p.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	p.begin()
	start := time.Now()
	stream, err := p.reader(slot).Stream(ctx, 0, binary)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, stream.Wake) // Next waits for the server, not for ctx
	err = p.readLog(ctx, stream, a)
	took = time.Since(start)
	stop()
	err = errors.Join(err, stream.Close(context.WithoutCancel(ctx)))
	if err == nil && a.rows != p.rows {
		err = fmt.Errorf("the log of table %s gave %d rows of %d", p.table.name, a.rows, p.rows)
	}
	return took, err
}

// readLog encodes every row up to the end.
func (p *rowPath) readLog(ctx context.Context, stream cdc.Stream, a *allocations) error {
	m := cdc.Meta{Generation: 1, Now: time.Now().UnixMicro()}
	for {
		e, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		switch e.Kind {
		case cdc.EventBegin:
			m.Position, m.XID, m.CommitTime = cdc.Position{Epoch: 1, CommitLSN: e.CommitLSN}, e.XID, e.CommitTime
		case cdc.EventRelation:
			if err := p.tables.Match(p.source, e.Described); err != nil {
				return err
			}
		case cdc.EventInsert:
			m.Position.Ordinal++
			m.LSN = e.LSN
			if err := p.encoder.Insert(&p.chunk, &m, e.New); err != nil {
				return err
			}
			p.discard(&m)
			a.row()
		case cdc.EventKeepalive:
			if e.WALEnd >= p.end {
				return nil
			}
		case cdc.EventCommit:
			if e.EndLSN >= p.end {
				return nil
			}
		case cdc.EventWake:
		case cdc.EventNone, cdc.EventUpdate, cdc.EventDelete, cdc.EventTruncate:
			return fmt.Errorf("an event of kind %d in a log of inserts", e.Kind)
		}
	}
}
