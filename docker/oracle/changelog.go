package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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
}

// StartChangeLog creates the slot. Call it before the test's first write; the connection may be any to the database.
func StartChangeLog(ctx context.Context, pg *pgx.Conn, slot string) (*ChangeLog, error) {
	l := &ChangeLog{Slot: slot}
	if err := pg.QueryRow(ctx, `SELECT (lsn - '0/0')::int8 FROM pg_create_logical_replication_slot($1, 'test_decoding')`, slot).Scan(&l.Start); err != nil {
		return nil, fmt.Errorf("oracle: create slot %s: %w", slot, err)
	}
	return l, nil
}

// Read lists every change committed since the slot began, in commit order; it can be called again (it peeks). Key
// columns and partitions are looked up in the catalog as it is now.
func (l *ChangeLog) Read(ctx context.Context, pg *pgx.Conn) ([]Change, error) {
	r := changeReader{tables: map[relName]*logTable{}}
	err := inSnapshot(ctx, pg, func() error { return r.read(ctx, pg, l.Slot) })
	return r.changes, err
}

// changeReader collects one Read.
type changeReader struct {
	tables  map[relName]*logTable
	changes []Change
	commit  int // number of the transaction being read
	first   int // index of its first change
}

// slotLine is a row of pg_logical_slot_peek_changes.
type slotLine struct {
	LSN  uint64
	XID  uint32
	Data string
}

// read peeks at the slot and looks each table up when its first change comes.
func (r *changeReader) read(ctx context.Context, pg *pgx.Conn, slot string) error {
	lines, err := collect(ctx, pg, "oracle: read slot "+slot, pgx.RowToStructByPos[slotLine], `SELECT (lsn - '0/0')::int8, xid::text::int8, data
		FROM pg_logical_slot_peek_changes($1, NULL, NULL, 'include-xids', '1', 'include-timestamp', '0', 'skip-empty-xacts', '1')`, slot)
	if err != nil {
		return err
	}
	for _, line := range lines {
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
	if parsed.commit { // test_decoding gives it the LSN at which the commit record ends
		for i := r.first; i < len(r.changes); i++ {
			r.changes[i].CommitEnd = line.LSN
		}
		r.first = len(r.changes)
		r.commit++
	}
	for _, name := range parsed.tables {
		table, err := r.table(ctx, pg, name)
		if err != nil {
			return fmt.Errorf("oracle: look up %s: %w", name, err)
		}
		if table.partitioned { // TRUNCATE names the root and its leaves; the leaves are published (rule 19)
			continue
		}
		change := Change{Commit: r.commit, LSN: line.LSN, XID: line.XID, Schema: table.root.Schema, Table: table.root.Name, Leaf: table.leaf, Op: parsed.op}
		if err := table.fillKeys(&change, parsed); err != nil {
			return fmt.Errorf("oracle: %s: %w", name, err)
		}
		r.changes = append(r.changes, change)
	}
	return nil
}

// logTable is what the catalog says about a table that test_decoding names.
type logTable struct {
	root        relName // itself, unless it is a partition
	leaf        string  // "schema.name" of a partition
	partitioned bool
	key         []string
	types       map[string]pgType // of the key columns
}

// table gives a table, which it looks up in the catalog once.
func (r *changeReader) table(ctx context.Context, pg *pgx.Conn, name relName) (*logTable, error) {
	if t := r.tables[name]; t != nil {
		return t, nil
	}
	t := &logTable{types: map[string]pgType{}}
	quoted := pgx.Identifier{name.Schema, name.Name}.Sanitize()
	err := pg.QueryRow(ctx, `SELECT n.nspname::text, root.relname::text, c.relkind = 'p' FROM pg_class c
		JOIN pg_class root ON root.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace n ON n.oid = root.relnamespace
		WHERE c.oid = $1::text::regclass`, quoted).Scan(&t.root.Schema, &t.root.Name, &t.partitioned)
	if err != nil {
		return nil, err
	}
	if t.root != name {
		t.leaf = name.String()
	}
	if t.key, err = catalogKey(ctx, pg, quoted); err != nil {
		return nil, err
	}
	type column struct {
		Name   string
		OID    uint32
		Typmod int32
	}
	columns, err := collect(ctx, pg, "list key columns", pgx.RowToStructByPos[column], `SELECT attname::text, atttypid, atttypmod FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attname = ANY($2::text[])`, quoted, t.key)
	for _, c := range columns {
		if t.types[c.Name], err = resolveType(ctx, pg, c.OID, c.Typmod); err != nil {
			return nil, err
		}
	}
	r.tables[name] = t
	return t, err
}

// fillKeys sets the keys from a parsed line. An UPDATE without an old key has not changed it.
func (t *logTable) fillKeys(change *Change, line decodedLine) error {
	var err, errOld error
	change.NewKey, err = t.keyText(line.new, line.old)
	change.OldKey, errOld = t.keyText(line.old, nil)
	if change.Op == OpUpdate && len(line.old) == 0 {
		change.OldKey = change.NewKey
	}
	return errors.Join(err, errOld)
}

// keyText picks the key columns. One whose toasted value did not change is taken from the old tuple, which then has it.
// A table without a key, or a delete without a tuple, has no key text: if it is captured all the same, no record
// matches it.
func (t *logTable) keyText(columns, old []decodedColumn) (map[string]string, error) {
	if len(t.key) == 0 || len(columns) == 0 {
		return nil, nil
	}
	all := slices.Concat(columns, old)
	key := make(map[string]string, len(t.key))
	for _, name := range t.key {
		i := slices.IndexFunc(all, func(c decodedColumn) bool { return c.name == name && !c.unchanged })
		if i < 0 || all[i].null {
			return nil, fmt.Errorf("key column %q is not in the line, or null", name)
		}
		var err error
		if key[name], err = t.types[name].keyText(all[i].text); err != nil {
			return nil, fmt.Errorf("key column %q: %w", name, err)
		}
	}
	return key, nil
}
