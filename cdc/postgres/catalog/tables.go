package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// Selection decides which tables are captured, and checks the config's names against the database.
type Selection interface {
	// Match reports whether the config names the table; Names whether it does so itself, not only by a pattern.
	Match(schema, table string) bool
	Names(schema, table string) bool
	// Check gets every table of the database, captured or not. Each error (several are joined, with Unwrap() []error)
	// names the place in the config and the nearest right name; one about a table that exists is a *TableError.
	Check(all []*schemas.Relation) error
}

// Options of Tables.
type Options struct {
	Login      postgres.Login // to the database
	Prefix     string
	Database   string // ClickHouse's, whose storage must be able to take the tables' names
	Partitions int32
	// Tombstones says that deletes are followed by tombstones on topics that are not compacted, too.
	Tombstones bool
	Selection  Selection
	Policies   schemas.Policies
	// Named reports whether a policy names the column itself, or, where column is empty, whether any is about the table
	// by its name; nil says so of everything.
	Named func(schema, table, column string) bool
	// Entry says where the policy of a column is written, "file:line"; nil where that is not known.
	Entry    func(schema, table, column string) string
	Registry schemas.Registry
	// Publication whose column lists count; empty means none.
	Publication string
	Keys        map[string][]string // the key columns of tables without a primary key, by "schema.table" (source.keys)
	// RereadPatience is how long a re-read waits, for a lock or until its transaction is visible: a commit may wait for
	// a synchronous standby. Meanwhile capture of all tables waits; then the table waits alone. It is shorter while
	// re-reads give up. 0 means 3 s.
	RereadPatience time.Duration
}

// Tables implements cdc.Tables and cdc.Rereader over Postgres' catalog.
type Tables struct {
	options Options
	mu      sync.Mutex
	known   map[uint32]*known // by relation OID, those that can be captured; filled by List
	reread  *pgx.Conn
	// rereadFor is the patience that reread was opened with; gaveUp counts the re-reads that gave up, the last one at
	// gaveUpAt.
	rereadFor time.Duration
	gaveUp    int
	gaveUpAt  time.Time
	// What the last List found: errors about names in the config, and OIDs of tables that it does not select.
	misnamed []error
	unnamed  map[uint32]string
}

type known struct {
	rel   *schemas.Relation
	table *schemas.Table
	cdc   *cdc.Table
	trace trace // as last read; the first is List's
	// noFull: Postgres would refuse its updates under REPLICA IDENTITY FULL.
	noFull bool
}

var (
	_ cdc.Tables   = (*Tables)(nil)
	_ cdc.Rereader = (*Tables)(nil)
)

// New makes Tables; it connects to nothing yet.
func New(o Options) *Tables {
	o.RereadPatience = cmp.Or(o.RereadPatience, 3*time.Second)
	return &Tables{options: o, known: map[uint32]*known{}}
}

// List implements cdc.Tables.
func (t *Tables) List(ctx context.Context) ([]*cdc.Table, error) {
	conn, err := t.options.Login.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	entries, found, err := t.named(ctx, conn)
	if err != nil {
		return nil, err
	}
	t.clashes(entries, &found)
	now, out := map[uint32]*known{}, make([]*cdc.Table, 0, len(entries))
	for _, e := range entries {
		k, err := t.describe(ctx, conn, e, found)
		if err != nil {
			return nil, err
		}
		if out = append(out, k.cdc); k.cdc.Refused == nil {
			now[e.rel.OID] = k
		}
	}
	traces, err := readTraces(ctx, conn, now)
	if err != nil {
		return nil, err
	}
	if err := described(ctx, conn, out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b *cdc.Table) int { return cmp.Compare(a.FullName(), b.FullName()) })
	t.mu.Lock()
	defer t.mu.Unlock()
	for oid, k := range now { // the trace of the former List stays, so that a rewrite while the session was interrupted is seen
		if k.trace = traces[oid]; t.known[oid] != nil {
			k.trace = t.known[oid].trace
		}
	}
	t.known, t.misnamed, t.unnamed = now, found.misnamed, found.unnamed
	return out, nil
}

// described notes how far the log reaches now that the tables have been described.
func described(ctx context.Context, conn *pgx.Conn, tables []*cdc.Table) error {
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&text); err != nil {
		return fmt.Errorf("ask how far the log reaches: %w", err)
	}
	end, err := cdc.ParseLSN(text)
	for _, t := range tables {
		t.Described = end
	}
	return err
}

// clashes adds the tables whose topic or view name is not allowed, or would be that of another table, too.
func (t *Tables) clashes(entries []*entry, found *findings) {
	for _, clash := range schemas.Collisions(t.options.Prefix, t.options.Database, relations(entries)) {
		why := cdc.Failed("%s", clash.Text)
		for _, at := range clash.Tables { // any one of them is enough
			why = why.Fix("add %s to source.tables", strconv.Quote("!"+entries[at].rel.FullName()))
		}
		for _, at := range clash.Tables {
			found.add(&TableError{Table: entries[at].rel.FullName(), BlocksStart: len(clash.Tables) > 1, Err: why})
		}
	}
}

// UnmatchedNames implements cdc.Tables.
func (t *Tables) UnmatchedNames() []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.misnamed
}

// UnselectedTables implements cdc.Tables.
func (t *Tables) UnselectedTables() map[uint32]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unnamed
}

// describe says what a table is to the capture loop, or why it cannot be captured; err means that the catalog could not
// be read.
func (t *Tables) describe(ctx context.Context, conn *pgx.Conn, e *entry, found findings) (*known, error) {
	why, err := t.capturable(ctx, conn, e)
	if err != nil {
		return nil, err
	}
	refused := found.refused[e.rel.FullName()]
	if why != nil {
		refused = cdc.OneLine(refused, why)
	}
	var k *known
	if refused == nil {
		k, refused = t.compile(e)
	}
	if refused != nil {
		k = &known{rel: e.rel, cdc: &cdc.Table{
			OID: e.rel.OID, Schema: e.rel.Schema, Name: e.rel.Name, Shape: shape(e), Columns: columns(e.rel), Unsent: e.unsent(),
			Refused: refused, RefusedByConfig: why == nil,
		}}
	} else {
		k.cdc.BlocksStart = found.blocked[e.rel.FullName()]
	}
	k.cdc.Exactly = t.options.Selection.Names(e.rel.Schema, e.rel.Name)
	return k, nil
}

func (t *Tables) compile(e *entry) (*known, error) {
	topic := schemas.TopicName(t.options.Prefix, e.rel.Schema, e.rel.Name)
	table, err := schemas.NewTable(e.rel, topic, t.options.Policies)
	if err != nil {
		return nil, err
	}
	table.Compacted = e.all().Compactable() // else a column list would make the topic another one
	c := copyOf(e.rel, table)
	k := &known{rel: e.rel, table: table, noFull: e.noFull, cdc: &cdc.Table{
		OID: e.rel.OID, Schema: e.rel.Schema, Name: e.rel.Name,
		Topic:    &cdc.Topic{Name: topic, Partitions: t.options.Partitions, Compacted: table.Compacted, Tombstones: table.Compacted || t.options.Tombstones},
		KeyPrint: keyPrint(table), PolicyPrint: policyPrint(e.all(), table), Shape: shape(e), Columns: columns(e.rel), Unsent: e.unsent(),
		CopyKinds: c.kinds, CopyInto: c.into, Needs: c.needs, Binary: !e.textOnly, EstimatedRows: e.rows,
		Unnamed: !t.names(e.rel, ""), KeyStays: keyStays(table),
	}}
	k.cdc.Open, k.cdc.Guarded = t.exposed(e, table)
	k.cdc.Kept = kept(table)
	policies := policiesOf(table)
	for i := range k.cdc.Columns {
		k.cdc.Columns[i].Policy = policyOf(policies, k.cdc.Columns[i].Number)
	}
	for _, column := range k.cdc.Guarded {
		if t.options.Entry != nil {
			k.cdc.GuardedAt = append(k.cdc.GuardedAt, t.options.Entry(e.rel.Schema, e.rel.Name, column))
		}
	}
	return k, nil
}

// keyStays reports whether the columns of the key leave as they are.
func keyStays(t *schemas.Table) bool {
	return !slices.ContainsFunc(t.Key, func(k int) bool { return t.Columns[k].Transform != nil })
}

func (t *Tables) names(rel *schemas.Relation, column string) bool {
	return t.options.Named == nil || t.options.Named(rel.Schema, rel.Name, column)
}

// kept lists the columns that leave as they are.
func kept(table *schemas.Table) (numbers []int16) {
	for i := range table.Columns {
		if table.Columns[i].Transform == nil {
			numbers = append(numbers, table.Columns[i].Attnum)
		}
	}
	return numbers
}

// exposed lists the columns that leave as they are though nobody named them, and those that have a policy by name.
func (t *Tables) exposed(e *entry, table *schemas.Table) (open []int16, guarded []string) {
	if t.options.Named == nil {
		return nil, nil
	}
	leaves := kept(table)
	for _, c := range e.all().Columns {
		switch named, is := t.names(e.rel, c.Name), slices.Contains(leaves, c.Attnum); {
		case is && !named:
			open = append(open, c.Attnum)
		case !is && named:
			guarded = append(guarded, c.Name)
		}
	}
	return open, guarded
}

// copied says how a table is copied.
type copied struct {
	kinds []cdc.DatumKind
	into  []int
	needs []int16
}

// copyOf reads the columns that leave, in the relation's order: what is withheld stays in Postgres.
func copyOf(rel *schemas.Relation, t *schemas.Table) (c copied) {
	for i := range t.Columns {
		of := &rel.Columns[t.Columns[i].Source]
		kind := cdc.DatumBinary
		if !decodesBinary(of.Type) {
			kind = cdc.DatumText
		}
		c.into, c.needs, c.kinds = append(c.into, t.Columns[i].Source), append(c.needs, of.Attnum), append(c.kinds, kind)
	}
	return c
}

// Encoder implements cdc.Tables.
func (t *Tables) Encoder(ctx context.Context, table *cdc.Table) (cdc.TableEncoder, error) {
	k, err := t.find(table.OID)
	if err != nil {
		return nil, err
	}
	contract := *k.table
	contract.Compacted = k.cdc.Topic.Compacted // that of the generation goes on, whatever the replica identity is now
	return avro.Compile(ctx, t.options.Registry, k.rel, &contract, k.cdc.Topic, t)
}

func (t *Tables) find(oid uint32) (*known, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.known[oid]
	if !ok {
		return nil, fmt.Errorf("relation %d is not captured", oid)
	}
	return k, nil
}

// keyPrint fingerprints what the record key depends on: names, kinds and policies of the key columns, in order.
func keyPrint(t *schemas.Table) string {
	h := sha256.New()
	for _, k := range t.Key {
		c := &t.Columns[k]
		fmt.Fprintf(h, "%q %s %d %d %s\n", c.Name, c.Type.Kind, c.Type.Precision, c.Type.Scale, c.Policy)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// policyPrint fingerprints the policies of the columns. Columns that are kept do not count, so that adding one changes
// nothing.
func policyPrint(rel *schemas.Relation, t *schemas.Table) string {
	policies := policiesOf(t)
	h := sha256.New()
	for i := range rel.Columns {
		if policy := policyOf(policies, rel.Columns[i].Attnum); policy != "" {
			fmt.Fprintf(h, "%q %s\n", rel.Columns[i].Name, policy)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// policiesOf gives the policies of the columns that leave, with their parameters, by number.
func policiesOf(t *schemas.Table) map[int16]string {
	policies := map[int16]string{}
	for i := range t.Columns {
		c := &t.Columns[i]
		policies[c.Attnum] = c.Policy
		if c.Transform != nil {
			policies[c.Attnum] += " " + c.Transform.Print()
		}
	}
	return policies
}

// policyOf is a column's policy as cdc.Column has it.
func policyOf(policies map[int16]string, number int16) string {
	if policy := cmp.Or(policies[number], "drop"); policy != "keep" {
		return policy
	}
	return ""
}

// shape fingerprints the columns, so that one that was added, dropped, renamed or retyped is noticed. The labels of the
// enums follow as a list, so that a renamed label is noticed and an added one can be accepted.
func shape(e *entry) string {
	h := sha256.New()
	for i := range e.rel.Columns {
		c := &e.rel.Columns[i]
		fmt.Fprintf(h, "%d %q %d %d %q\n", c.Attnum, c.Name, c.Type.OID, c.Type.Mod, c.Type.Name)
	}
	out := fmt.Sprintf("%x", h.Sum(nil)[:8])
	if len(e.labels) > 0 {
		slices.Sort(e.labels)
		out += ";" + strings.Join(slices.Compact(e.labels), ",")
	}
	return out
}
