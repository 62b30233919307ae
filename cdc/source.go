package cdc

import "context"

// Identity says which history of which cluster a source is.
type Identity struct {
	System   string // the cluster's system identifier, Timeline its present timeline, Database the database's name
	Timeline uint32
	Database string
	Flushed  LSN // how far the server's log reaches: a stored position beyond it belongs to another history
	// Switches are the timeline history's switch points, oldest first: timeline Switches[i].Timeline ended at
	// Switches[i].At.
	Switches []TimelineSwitch
}

// TimelineSwitch is one line of a timeline history.
type TimelineSwitch struct {
	Timeline uint32
	At       LSN
}

// SlotStatus is our slot's row of pg_replication_slots.
type SlotStatus struct {
	Plugin         string
	Database       string
	ConfirmedFlush LSN
	Restart        LSN
	Active         bool
	TwoPhase       bool
	// WALStatus is reserved, extended, unreserved or lost; Invalidation says why a slot was invalidated, "" if it was
	// not.
	WALStatus, Invalidation string
}

// Source is a Postgres database with one slot and one publication. Its methods are called from one goroutine at a time.
type Source interface {
	// Identify asks the server who it is.
	Identify(ctx context.Context) (Identity, error)
	// Slot reads the slot's status; found is false if there is none.
	Slot(ctx context.Context) (status SlotStatus, found bool, err error)
	// Published checks the publication and changes nothing: found is false if there is none, members says by OID what
	// publishes each of the tables; one without an entry is not published, or with a row filter. It
	// refuses a publication with operations left out.
	Published(ctx context.Context, tables []*Table) (found bool, members map[uint32]PublishedBy, err error)
	// EnsurePublication creates the publication for the tables, or adds those that Published gives no members for. A
	// TableTrouble says that one of them has a row filter there; the others are added all the same.
	EnsurePublication(ctx context.Context, tables []*Table) error
	// DropSlot drops the slot, if it exists and is not active. It is for ResnapshotAll alone.
	DropSlot(ctx context.Context) error
	// CreateSlot creates the slot (two_phase off, rule 5) and gives its consistent point: transactions whose commit LSN
	// lies before it are not sent.
	CreateSlot(ctx context.Context) (LSN, error)
	// Attend keeps a connection until done is called, by which others see that a capture runs, also while it has no
	// other. It tells what a session of capture waits for, whose it is, since when, and what ends it: at each change,
	// nil once nothing is waited for. Unlike the others it may be called, and goes on, while they are called.
	Attend(ctx context.Context, tell func(*Problem)) (done func())
	// Stream starts replication; the slot may still be held by a dead client, so it retries while the slot is active.
	// With binary, column values come in binary where their type has such a form.
	Stream(ctx context.Context, from LSN, binary bool) (Stream, error)
}

// EventKind says what a Stream delivered.
type EventKind uint8

// The events of a stream. A transaction is a Begin, its events, and a Commit; nothing else comes between but EventWake
// and keepalives.
const (
	EventNone      EventKind = iota
	EventBegin               // XID, CommitLSN, CommitTime
	EventRelation            // Described
	EventInsert              // Relation, New
	EventUpdate              // Relation, OldKind, Old, New
	EventDelete              // Relation, OldKind, Old
	EventTruncate            // Relations
	EventCommit              // CommitLSN, EndLSN, CommitTime
	EventKeepalive           // WALEnd, ServerTime
	EventWake                // nothing arrived: Wake was called
)

// Event is what Stream.Next delivers. The fields named by its kind are valid until the next call of Next.
type Event struct {
	Kind       EventKind
	LSN        LSN // the WAL position of the message itself
	XID        uint32
	CommitLSN  LSN
	EndLSN     LSN
	CommitTime int64 // microseconds since 1970-01-01 UTC
	Relation   uint32
	Relations  []uint32
	OldKind    OldKind
	Old, New   Tuple
	Described  *WireRelation
	WALEnd     LSN
	ServerTime int64 // the server's clock when it sent the event, microseconds since 1970-01-01 UTC; 0 if unknown
}

// WireRelation is a Relation message: pgoutput's description of a table before its first change, and after each change
// of it.
type WireRelation struct {
	OID          uint32
	Schema, Name string
	Identity     ReplicaIdentity
	Columns      []WireColumn
}

// WireColumn is one column of a Relation message.
type WireColumn struct {
	Name    string
	TypeOID uint32
	TypeMod int32
	Key     bool
}

// Stream is the run of committed transactions that a slot gives, in commit order. Next is called by one goroutine;
// Report and Wake may be called by any.
type Stream interface {
	// Next blocks for the next event. After an error the stream is dead. It notices the end of ctx only when an event
	// or a Wake comes: whoever cancels ctx must call Wake, too.
	Next(ctx context.Context) (*Event, error)
	// Report lets Postgres release its log up to the durable point; it is sent at once and repeated with each status.
	Report(d Durable)
	// Wake makes a blocked Next return EventWake soon. It is cheap and may be called at any time.
	Wake()
	// Nudge asks the server for a keepalive, so that an idle database advances.
	Nudge() error
	// Close ends replication.
	Close(ctx context.Context) error
}

// Table is one captured table as the capture loop sees it.
type Table struct {
	OID          uint32
	Schema, Name string
	Topic        *Topic
	// KeyPrint and PolicyPrint fingerprint what a generation depends on (rules 9 and 29).
	KeyPrint, PolicyPrint string
	// Shape fingerprints the columns (names, numbers, types) and lists the labels of their enums, each by the
	// transaction that wrote it, "<print>;<oid>=<transaction>,…": a table whose shape changed may hold rows that
	// changed without an event (rule 18). A label that was added changes nothing.
	Shape   string
	Columns []Column // what Shape is of, in the order of their numbers
	// CopyInto are the columns that a copy reads, by index into Columns, in order; what is withheld is not read, and
	// NULL in the row. CopyKinds is the form in which each of them comes: types without a binary decoder come as text.
	CopyInto  []int
	CopyKinds []DatumKind
	// Needs are the numbers of the columns that leave, those of the key among them: no right to others is needed. nil
	// means all.
	Needs []int16
	// Unsent are columns that the publication's column list keeps in Postgres; they are not among Columns.
	Unsent []Column
	// Binary says that the stream may send this table's columns in binary; if one table says no, the whole session
	// runs in text.
	Binary bool
	// KeyStays says that the key's columns leave as they are: then a value of the key may be stored, too.
	KeyStays bool
	// Described is how far the server's log reached once the table had been described: what comes after it is as
	// described, until a Relation message says otherwise.
	Described LSN
	// EstimatedRows is Postgres' own estimate (pg_class.reltuples), for progress bars; 0 if unknown.
	EstimatedRows int64
	// Refused says why the table cannot be captured (no key, a policy that does not fit or names a column that is not
	// there), and what to do; nil if it can. Of a refused table only OID, names, Shape, Columns and Exactly are set.
	Refused error
	// RefusedByConfig says that Refused is the config's own word on the table's columns (a policy that does not fit, or
	// names a column that is not there), so that where the columns are as they were, it is the config that has changed.
	RefusedByConfig bool
	// Exactly says that the config names the table itself, and not only by a pattern that any new table may match.
	Exactly bool
	// Unnamed says that no policy in the config is about the table: without a policy for all tables it leaves as it is.
	Unnamed bool
	// Kept are the numbers of columns that leave as they are, Open those of them that no policy names; Guarded the
	// names of columns that a policy other than keep names, and GuardedAt where it is written, "file:line"; empty if
	// that is not known.
	Kept, Open []int16
	Guarded    []string
	GuardedAt  []string
	// BlocksStart says why the table must not be begun, though a capture that has begun it may go on: another table
	// would share a name with it, or it may be one that privacy names under another name. nil if nothing does.
	BlocksStart error
}

// FullName is "schema.table", real names.
func (t *Table) FullName() string { return t.Schema + "." + t.Name }

// Tables knows the captured tables and compiles their encoders.
type Tables interface {
	// List reads the catalog: every table that the config names, ordered by name. One that cannot be captured is there,
	// too, and says why: an error means that the catalog could not be read.
	List(ctx context.Context) ([]*Table, error)
	// UnmatchedNames gives the names in the config (globs, tables, columns) that matched nothing at the last List, one
	// error each with its place and what to do. Those for which a table was refused are not among them.
	UnmatchedNames() []error
	// UnselectedTables gives the tables that were there at the last List and that the config does not name, real names
	// "schema.table" by OID. The map is not to be changed.
	UnselectedTables() map[uint32]string
	// Encoder registers the table's schemas and compiles its encoder. Each call gives a new one. An error that is a
	// TableTrouble speaks of this table.
	Encoder(ctx context.Context, t *Table) (TableEncoder, error)
	// Ranges gives a reader of the table as it is described; it connects when it is used.
	Ranges(t *Table) (RangeReader, error)
	// Match compares a Relation message with the catalog's description that the encoder was compiled from; the error
	// says what changed, and quarantines the table.
	Match(t *Table, w *WireRelation) error
	// Drift reads the catalog again and says, by OID, which captured tables of the last List are no longer as they
	// were, and why. It may be called at the same time as the other methods.
	Drift(ctx context.Context) (map[uint32]error, error)
}

// ReplicaIdentity is a table's replica identity, in pg_class.relreplident's letters.
type ReplicaIdentity byte

// The replica identities.
const (
	IdentityDefault ReplicaIdentity = 'd'
	IdentityNothing ReplicaIdentity = 'n'
	IdentityFull    ReplicaIdentity = 'f'
	IdentityIndex   ReplicaIdentity = 'i'
)
