package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Op is an operation as envelopes write it.
type Op string

// The operations. A key change is a delete followed by a create.
const (
	OpCreate   Op = "c"
	OpUpdate   Op = "u"
	OpDelete   Op = "d"
	OpTruncate Op = "t"
	OpRead     Op = "r"
	OpMarker   Op = "m"
)

// Change is one row change as Postgres committed it.
type Change struct {
	// Commit numbers the transactions of the list in commit order, from 0.
	Commit int
	// LSN is the change's own record's; CommitEnd is where the transaction's commit record ends, so that the record's
	// start (rule 1's commit LSN) is between LSN and CommitEnd.
	LSN, CommitEnd uint64
	// XID is the top-level transaction's.
	XID uint32
	// Schema and Table name the table, the root for a partition; Leaf is the partition's "schema.name", otherwise
	// empty.
	Schema, Table, Leaf string
	// Op is c, u, d or t. An UPDATE that changed the key is u with different keys.
	Op Op
	// OldKey (u, d) and NewKey (c, u) are nil for a table without a key; otherwise they map the key columns to
	// canonical text, as topics hold them.
	OldKey, NewKey map[string]string
}

// FullName is "schema.table".
func (c Change) FullName() string { return c.Schema + "." + c.Table }

// KeyChanged reports whether the change is an UPDATE that changed the key.
func (c Change) KeyChanged() bool { return c.Op == OpUpdate && !maps.Equal(c.OldKey, c.NewKey) }

// ChangeLog is an independent list of what was committed: a logical slot of its own with the plugin test_decoding.
type ChangeLog struct {
	// Slot is the slot's name.
	Slot string
	// Start is the slot's consistent point: transactions whose commit record starts before it are not in the list.
	Start uint64
	// Keys overrides, by "schema.name", the key columns that the catalog knows.
	Keys map[string][]string
}

// StartChangeLog creates the slot. Call it before the test's first write; the connection may be any to the database.
func StartChangeLog(ctx context.Context, pg *pgx.Conn, slot string) (*ChangeLog, error) {
	var start string
	if err := pg.QueryRow(ctx, `SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'test_decoding')`, slot).Scan(&start); err != nil {
		return nil, fmt.Errorf("oracle: create slot %s: %w", slot, err)
	}
	lsn, err := parseLSN(start)
	return &ChangeLog{Slot: slot, Start: lsn}, err
}

// Drop drops the slot.
func (l *ChangeLog) Drop(ctx context.Context, pg *pgx.Conn) error {
	if _, err := pg.Exec(ctx, `SELECT pg_drop_replication_slot($1)`, l.Slot); err != nil {
		return fmt.Errorf("oracle: drop slot %s: %w", l.Slot, err)
	}
	return nil
}

// Read lists every change committed since the slot began, in commit order; it can be called again (it peeks). Key
// columns and partitions are looked up in the catalog as it is now.
func (l *ChangeLog) Read(ctx context.Context, pg *pgx.Conn) ([]Change, error) {
	r := changeReader{log: l, tables: map[relName]*logTable{}}
	err := inSnapshot(ctx, pg, func() error { return r.read(ctx, pg) })
	return r.changes, err
}

// changeReader collects one Read.
type changeReader struct {
	log     *ChangeLog
	lines   []slotLine
	tables  map[relName]*logTable
	changes []Change
	commit  int // number of the transaction being read
	first   int // index of its first change
}

// slotLine is a row of pg_logical_slot_peek_changes.
type slotLine struct {
	LSN  string
	XID  uint32
	Data string
}

// read peeks at the slot and looks each table up when its first change comes.
func (r *changeReader) read(ctx context.Context, pg *pgx.Conn) error {
	rows, err := pg.Query(ctx, `SELECT lsn::text, xid::text::int8, data FROM pg_logical_slot_peek_changes($1, NULL, NULL,
		'include-xids', '1', 'include-timestamp', '0', 'skip-empty-xacts', '1')`, r.log.Slot)
	if err != nil {
		return fmt.Errorf("oracle: read slot %s: %w", r.log.Slot, err)
	}
	if r.lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[slotLine]); err != nil {
		return fmt.Errorf("oracle: read slot %s: %w", r.log.Slot, err)
	}
	for _, line := range r.lines {
		if err := r.line(ctx, pg, line); err != nil {
			return err
		}
	}
	if r.first != len(r.changes) {
		return errors.New("oracle: the slot's last transaction has no COMMIT")
	}
	return nil
}

// line adds the changes of one line.
func (r *changeReader) line(ctx context.Context, pg *pgx.Conn, line slotLine) error {
	parsed, err := parseDecoded(line.Data)
	if err != nil {
		return err
	}
	lsn, err := parseLSN(line.LSN)
	if err != nil {
		return err
	}
	switch parsed.op {
	case decodedMessage:
		return nil
	case decodedBegin:
		r.first = len(r.changes)
		return nil
	case decodedCommit: // test_decoding gives it the LSN at which the commit record ends
		for i := r.first; i < len(r.changes); i++ {
			r.changes[i].CommitEnd = lsn
		}
		r.first = len(r.changes)
		r.commit++
		return nil
	case decodedInsert, decodedUpdate, decodedDelete, decodedTruncate:
	}
	for _, name := range parsed.tables {
		table, err := r.table(ctx, pg, name)
		if err != nil {
			return err
		}
		change := Change{Commit: r.commit, LSN: lsn, XID: line.XID, Schema: table.root.schema, Table: table.root.name, Leaf: table.leaf}
		if table.partitioned { // TRUNCATE names the root and its leaves; the leaves are published (rule 19)
			continue
		}
		if err := table.fill(&change, parsed); err != nil {
			return fmt.Errorf("oracle: %s.%s: %w", name.schema, name.name, err)
		}
		r.changes = append(r.changes, change)
	}
	return nil
}

// parseLSN reads Postgres' form of an LSN.
func parseLSN(s string) (uint64, error) {
	high, low, _ := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("oracle: parse LSN: %w", err)
	}
	return h<<32 | l, nil
}
