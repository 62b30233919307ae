package ledger

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Applied says that the records of a partition below Next are in ClickHouse. It is keyed by the topic's id: offsets of
// a topic that was deleted say nothing about another one of its name.
type Applied struct {
	TopicID   uuid.UUID
	Topic     string
	Partition int32
	Next      int64
}

// Numbers of partition 0 among the rows that say which control records are applied.
const (
	firstControls = 1 << 24
	firstPlace    = 1 << 25
)

// ControlsOf gives the partition number of the row that says which control records are applied to a partition: its Next
// is the highest cdc.ControlSequence.
func ControlsOf(partition int32) int32 { return firstControls + partition }

// ControlPlaceOf gives the partition number of the row that says up to which offset of the control topic, which TopicID
// is of, the topic's control records are applied to a partition.
func ControlPlaceOf(partition int32) int32 { return firstPlace + partition }

// IsControlPlace reports whether the row is about the control topic.
func (a *Applied) IsControlPlace() bool { return a.Partition >= firstPlace }

func (*Applied) table() string   { return "applied" }
func (a *Applied) fields() []any { return []any{&a.TopicID, &a.Topic, &a.Partition, &a.Next} }

// Applied gives how far each partition of these topics is applied, also of deleted topics of these names.
func (l *Ledger) Applied(ctx context.Context, topics []string) ([]Applied, error) {
	sql := "SELECT topic_id, topic, partition, max(next) FROM " + l.table("applied") + " WHERE topic IN (" + schemas.ClickHouseLiterals(topics) +
		") GROUP BY topic_id, topic, partition"
	return query(ctx, l, "applied offsets", sql, (*Applied).fields)
}

// The kinds of marks.
const (
	KindOpen = "open"
	KindEnd  = "end"
)

// Mark is the open or end record of a generation on one partition (rule 13).
type Mark struct {
	TopicID    uuid.UUID
	Topic      string
	Partition  int32
	Generation uint32
	Kind       string
	Offset     int64        // Offset of the record
	Version    cdc.Position // the record's position: of an end, the generation's cut
}

func (*Mark) table() string { return "generations" }
func (m *Mark) fields() []any {
	return []any{&m.TopicID, &m.Topic, &m.Partition, &m.Generation, &m.Kind, &m.Offset, &m.Version}
}

// Marks gives the opens and ends of a topic on all partitions, by generation.
func (l *Ledger) Marks(ctx context.Context, topic uuid.UUID) ([]Mark, error) {
	return l.marks(ctx, "topic_id = "+schemas.ClickHouseLiteral(topic.String()))
}

// Opens gives the opens of topics, also of deleted ones of these names.
func (l *Ledger) Opens(ctx context.Context, topics []string) ([]Mark, error) {
	return l.marks(ctx, "kind = '"+KindOpen+"' AND topic IN ("+schemas.ClickHouseLiterals(topics)+")")
}

func (l *Ledger) marks(ctx context.Context, condition string) ([]Mark, error) {
	sql := "SELECT topic_id, topic, partition, generation, kind, max(offset), max(version) FROM " + l.table("generations") + " WHERE " + condition +
		" GROUP BY topic_id, topic, partition, generation, kind ORDER BY generation"
	return query(ctx, l, "generations", sql, (*Mark).fields)
}

// Cut hides the rows of a generation whose version is not above it (rule 11).
type Cut struct {
	Topic      string
	Generation uint32
	Leaf       uint32 // the OID of the partition that was truncated; 0 is the whole table
	Version    cdc.Position
}

func (*Cut) table() string   { return "cuts" }
func (c *Cut) fields() []any { return []any{&c.Topic, &c.Generation, &c.Leaf, &c.Version} }

// Cuts gives the highest cut of each leaf of a generation.
func (l *Ledger) Cuts(ctx context.Context, topic string, generation uint32) (map[uint32]cdc.Position, error) {
	sql := "SELECT topic, generation, leaf, max(version) FROM " + l.table("cuts") + cutsOf(topic, generation) + " GROUP BY topic, generation, leaf"
	list, err := query(ctx, l, "cuts", sql, (*Cut).fields)
	cuts := make(map[uint32]cdc.Position, len(list))
	for _, c := range list {
		cuts[c.Leaf] = c.Version
	}
	return cuts, err
}

// CutsSelect is the query, in parentheses, by which a view reads the cuts of its generation: columns leaf and version.
// Its constant row makes aggregates never empty: what these give depends on settings of the reader's.
func (l *Ledger) CutsSelect(topic string, generation uint32) string {
	return "(SELECT toUInt32(0) AS leaf, toUInt128(0) AS version UNION ALL SELECT leaf, version FROM " + l.table("cuts") + cutsOf(topic, generation) + ")"
}

func cutsOf(topic string, generation uint32) string {
	return " WHERE topic = " + schemas.ClickHouseLiteral(topic) + " AND generation = " + strconv.FormatUint(uint64(generation), 10)
}

// The legs that may quarantine a table.
const (
	LegCapture = "capture"
	LegLoad    = "load"
)

// QuarantineState is what a row of `quarantine` says; the number is a format.
type QuarantineState uint8

// The states.
const (
	StateClosed   QuarantineState = 0
	StateSkipping QuarantineState = 1 // the table's records are skipped
	StateExcluded QuarantineState = 3 // capture no longer follows the table: complete_up_to has no row of it
)

// Quarantine is the newest row of a table on one leg.
type Quarantine struct {
	Table      string // the real name "schema.table"
	Leg        string
	Reason     string // the text of a problem (cdc.ParseProblem reads it), without a row's value
	State      QuarantineState
	Version    uint64 // Version orders the rows of a table and leg: the highest counts
	Generation uint32 // the newest one it concerns; on the capture leg it is the one that capture is at
}

func (*Quarantine) table() string { return "quarantine" }
func (q *Quarantine) fields() []any {
	return []any{&q.Table, &q.Leg, &q.Reason, (*uint8)(&q.State), &q.Version, &q.Generation}
}

// Quarantines gives the newest row of each table and leg, in that order; none where a loader has never run.
func (l *Ledger) Quarantines(ctx context.Context) ([]Quarantine, error) {
	sql := "SELECT `table`, leg, reason, open, version, generation FROM " + l.table("quarantine") + " FINAL ORDER BY `table`, leg"
	return queryIfThere(ctx, l, "quarantined tables", sql, (*Quarantine).fields)
}

// Reasons gives why the records of a table are skipped, by leg; none if they are not, or a loader has never run. What
// load skips of a generation counts no more once capture is at a newer one, which is copied and will be loaded.
func (l *Ledger) Reasons(ctx context.Context, table string) (reasons []string, err error) {
	all, err := l.Quarantines(ctx)
	captured := uint32(0)
	for _, q := range all {
		if q.Table == table && q.Leg == LegCapture {
			captured = q.Generation
		}
	}
	for _, q := range all {
		if q.Table == table && q.State == StateSkipping && (q.Leg == LegCapture || q.Generation >= captured) {
			reasons = append(reasons, q.Reason)
		}
	}
	return reasons, err
}

// MissingRow is a row of the table `gone` (rule 17): the source's row of this key is known not to be in ClickHouse.
type MissingRow struct {
	Table     string // the real name "schema.table"
	TopicID   uuid.UUID
	Partition int32
	Key       string // the payload of the record key
	// Version is from where the row is missing, or up to where it was if Open is false. The highest of a key counts.
	Version cdc.Position
	Open    bool
}

func (*MissingRow) table() string { return "gone" }
func (m *MissingRow) fields() []any {
	return []any{&m.Table, &m.TopicID, &m.Partition, &m.Key, &m.Version, &m.Open}
}

// MissingRows gives the rows of a topic that are missing still.
func (l *Ledger) MissingRows(ctx context.Context, topic uuid.UUID) ([]MissingRow, error) {
	sql := "SELECT `table`, topic_id, partition, key, version, open FROM " + l.table("gone") + " FINAL WHERE topic_id = " +
		schemas.ClickHouseLiteral(topic.String()) + " AND open = 1"
	return query(ctx, l, "missing rows", sql, (*MissingRow).fields)
}

// CloseMissingOfOtherTopics closes the missing rows of a table that came through any other topic than this one.
func (l *Ledger) CloseMissingOfOtherTopics(ctx context.Context, table string, topic uuid.UUID) error {
	gone := l.table("gone")
	sql := "INSERT INTO " + gone + " SELECT `table`, topic_id, partition, key, version + 1, 0 FROM " + gone + " FINAL WHERE `table` = " +
		schemas.ClickHouseLiteral(table) + " AND topic_id != " + schemas.ClickHouseLiteral(topic.String()) + " AND open = 1"
	return l.Exec(ctx, "close the missing rows of the former topic of "+table, sql)
}

// Shown says which generation a table's view shows.
type Shown struct {
	Table      string // the real name "schema.table"
	Topic      string
	Generation uint32
}

func (*Shown) table() string   { return "shown" }
func (s *Shown) fields() []any { return []any{&s.Table, &s.Topic, &s.Generation} }

// ShownTables gives which generation each table's view shows; none where a loader has never run.
func (l *Ledger) ShownTables(ctx context.Context) ([]Shown, error) {
	sql := "SELECT `table`, topic, generation FROM " + l.table("shown") + " FINAL ORDER BY `table`"
	return queryIfThere(ctx, l, "which generations are shown", sql, (*Shown).fields)
}

// ReplacedSelect is the query, in parentheses, by which a view finds out that a newer generation than its own is shown:
// it fails then. Like CutsSelect it never aggregates nothing.
func (l *Ledger) ReplacedSelect(table, topic string, generation uint32) string {
	return "(SELECT throwIf(max(generation) > " + strconv.FormatUint(uint64(generation), 10) + ", 'this view is being replaced: ask again')" +
		" FROM (SELECT toUInt32(0) AS generation UNION ALL SELECT generation FROM " + l.table("shown") + " WHERE `table` = " +
		schemas.ClickHouseLiteral(table) + " AND topic = " + schemas.ClickHouseLiteral(topic) + ")" + BooksSettings + ")"
}
