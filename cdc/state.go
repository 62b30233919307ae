package cdc

// StateFormat is the version of the records in the state, progress and control topics. A release reads its own only:
// with format 1 truncates and generations were in the tables' topics.
const StateFormat = 2

// Phase is how far the pipeline as a whole has come.
type Phase string

// The phases, in order.
const (
	PhaseNone      Phase = ""          // no state: a first start
	PhaseCreating  Phase = "creating"  // committed before publication and slot are created (rule 4)
	PhaseRenewing  Phase = "renewing"  // committed under the next epoch, before the former slot is dropped; only ResnapshotAll goes on from here
	PhaseCopying   Phase = "copying"   // as streaming; written by builds that copied before they followed the log
	PhaseStreaming Phase = "streaming" // the slot is there; each table says how far its own copy is
)

// TablePhase is how far one table has come.
type TablePhase string

// The phases of a table.
const (
	TableCopying     TablePhase = "copying"
	TableStreaming   TablePhase = "streaming"
	TableQuarantined TablePhase = "quarantined"
	TableExcluded    TablePhase = "excluded" // the config no longer names it, or it was dropped; naming it again is a new generation
)

// State is everything a capture knows about its pipeline, folded from the records of the state topic.
type State struct {
	Source SourceState
	Point  Point
	Tables map[string]TableState // by "schema.table", real names
	// HighWater is what the progress topic knows, where the state itself is empty or about to be replaced: if it is not
	// empty, an empty state has been lost, and this is no first start.
	HighWater HighWater
}

// HighWater is the highest epoch and the highest generation of each table that were ever used, as far as one place (a
// topic, ClickHouse) knows. The zero value knows nothing.
type HighWater struct {
	Epoch       uint32
	Generations map[string]uint32 // by "schema.table", real names
}

// Add takes over what is higher in another place.
func (h *HighWater) Add(other HighWater) {
	h.Epoch = max(h.Epoch, other.Epoch)
	for table, generation := range other.Generations {
		h.Observe(table, generation)
	}
}

// Observe notes a generation of a table.
func (h *HighWater) Observe(table string, generation uint32) {
	if h.Generations == nil {
		h.Generations = map[string]uint32{}
	}
	h.Generations[table] = max(h.Generations[table], generation)
}

// StateChange is one record of the state topic: SourceState or TableState. (The point is written with every commit.)
type StateChange interface{ stateChange() }

// SourceState is what identifies the source; it is written when it changes. JSON field names are a format.
type SourceState struct {
	Format int    `json:"format"`
	Phase  Phase  `json:"phase"`
	Epoch  uint32 `json:"epoch"` // of all positions written now; the first is 1
	// System is Postgres' system identifier, Timeline the server's timeline when the slot was last opened.
	System   string `json:"system"`
	Timeline uint32 `json:"timeline"`
	Database string `json:"database"`
	Slot     string `json:"slot"`
	// Partitions is the partition count of the table topics (rule 9: a difference stops capture).
	Partitions      int32             `json:"partitions"`
	HashKeys        map[string]string `json:"hash_keys,omitempty"` // maps the id of each hash key to its fingerprint
	ConsistentPoint LSN               `json:"consistent_point"`    // of the slot, 0 while creating
}

// TableState is what the capture knows of one table; it is written when it changes. JSON field names are a format.
type TableState struct {
	Format int    `json:"format"`
	Schema string `json:"schema"`
	Table  string `json:"table"`
	OID    uint32 `json:"oid"`
	Topic  string `json:"topic"`
	// TopicID is Kafka's id of Topic, which the sink sets: another topic of that name lacks what was written. Empty in
	// a state written by a build that did not store it.
	TopicID    string     `json:"topic_id,omitempty"`
	Phase      TablePhase `json:"phase"`
	Generation uint32     `json:"generation"` // the last one opened; the first is 1
	Controls   uint32     `json:"controls"`   // the number of the generation's last control record
	// Cut is the generation's (rule 13), packed in hexadecimal; empty until its copy ended.
	Cut string `json:"cut,omitempty"`
	// From is the cut that the generation will have, packed in hexadecimal; empty before it was opened, and in a state
	// written by a build that did not know it. CopiedTo is the key of the last row that was copied, as Key.Text gives
	// it: a copy that was cut short goes on after it. Empty if none was, or if the key must not be stored.
	From     string `json:"from,omitempty"`
	CopiedTo string `json:"copied_to,omitempty"`
	// Rows copied into the generation, for status.
	Rows   int64  `json:"rows"`
	Reason string `json:"reason,omitempty"` // why the table is quarantined; it holds no row value
	// Waits says that the table is quarantined for what may pass or be put right at its place (a topic, a subject, a
	// right): capture tries it again by itself. A build that does not know it leaves the table quarantined.
	Waits bool `json:"waits,omitempty"`
	// KeyPrint and PolicyPrint fingerprint the key's columns and types, and the policies: a difference needs a new
	// generation.
	KeyPrint    string `json:"key_print"`
	PolicyPrint string `json:"policy_print"`
	// Shape fingerprints the table's columns as they were when the generation was opened.
	Shape string `json:"shape"`
	// Columns are those that Shape is of, to name the ones that have changed, each with the policy under which it was
	// captured; empty in a state written by a build that did not know it.
	Columns []Column `json:"columns,omitempty"`
	// Former are other tables that were captured under this name, and are there still under another.
	Former []FormerTable `json:"former,omitempty"`
	// Cleanup says what the generation's records are made for, CleanupCompact or CleanupDelete: another replica
	// identity changes it only with the next generation. Empty in a state written by a build that did not know it.
	Cleanup string `json:"cleanup,omitempty"`
	// PublishedBy is what published the table before the generation's rows were read, brought up to date at each
	// start; empty in a state written by a build that did not know it.
	PublishedBy PublishedBy `json:"members,omitempty"`
}

// FormerTable is a table that was captured under a name which another has now, with the policies of its columns then.
type FormerTable struct {
	OID     uint32   `json:"oid"`
	Columns []Column `json:"columns"`
}

// The clean-up of a table's topic: compact if every record carries a whole row.
const (
	CleanupCompact = "compact"
	CleanupDelete  = "delete"
)

// CleanupOf is the clean-up for which a topic's records are made.
func CleanupOf(t *Topic) string {
	if t.Compacted {
		return CleanupCompact
	}
	return CleanupDelete
}

func (SourceState) stateChange() {}
func (TableState) stateChange()  {}

// Name is the table's real name, "schema.table".
func (t TableState) Name() string { return t.Schema + "." + t.Table }
