// Package status asks Postgres, ClickHouse and Kafka how the pipeline is and assembles the answer that the verb
// `status` prints and /status gives: positions, tables, how much log Postgres may still keep for the slot, and the
// checks of readiness, which say what is wrong and what to do before Postgres' disk is full.
package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"dirtbike/cdc"
)

// Status is what `dirtbike status --json` prints and /status answers. Names and order of its fields are a contract.
type Status struct {
	// Phase is none (nothing was started yet), creating, copying, streaming, or unknown while a server does not answer.
	Phase string `json:"phase"`
	// LagBytes is how far Postgres' log is beyond what ClickHouse is complete up to; null before there is such a point.
	LagBytes *int64 `json:"lag_bytes"`
	// LagSeconds is the age, by Postgres' clock, of the commit ClickHouse is complete up to; 0 without lag, or null.
	LagSeconds *float64 `json:"lag_seconds"`
	// RetainedWALBytes is how much log Postgres retains for the slot; null without a slot.
	RetainedWALBytes *int64 `json:"retained_wal_bytes"`
	// WALLimit is the setting that the retained log reaches first, max_slot_wal_keep_size or source.wal_disk; or empty.
	WALLimit string `json:"wal_limit"`
	// WALLeftBytes is how much more log can be retained; null without a limit.
	WALLeftBytes *int64 `json:"wal_left_bytes"`
	// WALLeftHours is in how many hours none is left, at the rate at which the retained log has grown; null without a
	// limit, while it does not grow (or would last more than a year), or as long as the rate is not known.
	WALLeftHours *float64 `json:"wal_left_hours"`
	// Missing says which of Postgres and ClickHouse did not answer, and what to do; the other fields hold what is known
	// without them (no table is exact then). Absent if both answered.
	Missing []string `json:"missing,omitempty"`
	// Kafka says that the brokers do not answer or refuse the login, and what to do; absent if one answers.
	Kafka string `json:"kafka,omitempty"`
	// Privacy says what leaves Postgres; absent while its catalog cannot be read.
	Privacy *PrivacyStatus `json:"privacy,omitempty"`
	// Exposed says which connections somebody on the way could read, or pose as the server of, and what to do; absent
	// if there are none.
	Exposed []string `json:"exposed,omitempty"`
	// Waits says what capture waits for in Postgres: whose transaction, since when, what ends it; absent for nothing.
	Waits string `json:"waits,omitempty"`
	// Progress says how far a first start or a copy has come, with counts; absent otherwise.
	Progress string `json:"progress,omitempty"`
	// PassedOver are topics with records that another writer put there in the last ten minutes; absent if there are
	// none.
	PassedOver []PassedOver `json:"passed_over,omitempty"`
	// Strangers says which members of the loaders' consumer group are no loaders, and what to do; absent for none.
	Strangers string `json:"strangers,omitempty"`
	// Taken says what of somebody's has the name of complete_up_to, and what to do; absent if nothing has.
	Taken string `json:"taken,omitempty"`
	// Tables in the order of their names; never null.
	Tables []TableStatus `json:"tables"`
	// kafka is why no broker answers, capture why no changes are read from the slot, strangers who else is in the
	// loaders' group; nil if all is well.
	kafka, capture, strangers *cdc.Problem
	// postgresAway and clickHouseAway say which of them did not answer.
	postgresAway, clickHouseAway bool
	// connected says that a capture of the pipeline is connected to Postgres.
	connected bool
	// inactive says since when no client reads the slot and what that costs, if that is its only problem.
	inactive string
}

// PassedOver says that records of a topic change nothing, since another than the pipeline's captures wrote them.
type PassedOver struct {
	// Topic by its name in Kafka.
	Topic string `json:"topic"`
	// Records that were passed over since the loader began.
	Records int64 `json:"records"`
	// Reason says how the last one was known. It holds no row value.
	Reason string `json:"reason"`
}

// foreign says to which topics others have written; nil if to none.
func (s Status) foreign() *cdc.Problem {
	var topics []string
	for _, p := range s.PassedOver {
		topics = append(topics, fmt.Sprintf("%s (%s records, %s)", p.Topic, humanize.Comma(p.Records), p.Reason))
	}
	if len(topics) == 0 {
		return nil
	}
	return cdc.Failed("records of another writer were passed over: %s", strings.Join(topics, ", ")).
		Keeps("they change no table").Fix("find out what else writes to the topic, and take its right away")
}

// withHeadroom adds how much more log can be retained, and for how long.
func (s Status) withHeadroom(f forecast) Status {
	if f.limit == "" {
		return s
	}
	s.WALLimit, s.WALLeftBytes = f.limit, &f.left
	if left, ok := f.until(); ok {
		inHours := left.Hours()
		s.WALLeftHours = &inHours
	}
	return s
}

// headroomText says how much more log can be retained, and for how long; "" without a limit.
func (s Status) headroomText() string {
	switch {
	case s.WALLimit == "":
		return ""
	case s.WALLeftHours == nil:
		return " · " + size(*s.WALLeftBytes) + " below " + s.WALLimit
	}
	return " · " + hours(time.Duration(*s.WALLeftHours*float64(time.Hour))) + " until " + s.WALLimit
}

// Problems keep ClickHouse from being equal to Postgres: no broker, no capture, no table, or one that is not exact.
func (s Status) Problems() (problems []*cdc.Problem) {
	empty := cdc.Failed("ClickHouse has no table yet").Fix("dirtbike run, then dirtbike wait")
	switch {
	case len(s.Tables) > 0:
		empty = nil
	case s.connected:
		empty = cdc.Failed("ClickHouse has no table yet; a capture is starting").Fix("dirtbike wait")
	}
	return slices.DeleteFunc([]*cdc.Problem{s.kafka, s.capture, s.strangers, empty, s.inexact()}, func(p *cdc.Problem) bool { return p == nil })
}

// inexact counts the tables that are not exact and says what can help; nil if every table that is followed is exact.
func (s Status) inexact() *cdc.Problem {
	waits, stuck := 0, 0
	for _, t := range s.Tables {
		switch {
		case t.Exact, t.Excluded():
		case t.Stuck():
			stuck++
		default:
			waits++
		}
	}
	if waits+stuck == 0 {
		return nil
	}
	verb := "are"
	if waits+stuck == 1 {
		verb = "is"
	}
	p := cdc.Failed("%s %s not exact", cdc.OfTables(waits+stuck, len(s.Tables)), verb)
	switch {
	case waits == 0:
		return p.Fix("do what NOTE says")
	case stuck > 0:
		return p.Fix("dirtbike wait, and do what NOTE says")
	}
	return p.Fix("dirtbike wait")
}

// TableStatus is one table of a Status.
type TableStatus struct {
	// Table is "schema.table", the source's names.
	Table string `json:"table"`
	// Phase is copying, streaming, quarantined, new (source.tables names it, but the running capture has not seen it,
	// since it was created later) or excluded (source.tables no longer names it, or it was dropped: its view stays as
	// it was).
	Phase string `json:"phase"`
	// Rows that its view shows; while copying, rows copied so far. See RowsEstimated.
	Rows int64 `json:"rows"`
	// Exact says that the view equals the source as of complete_up_to.
	Exact bool `json:"exact"`
	// DeadLetters are rows that wait to be replayed.
	DeadLetters int64 `json:"dead_letters"`
	// Reason says why the table is quarantined, new or excluded, or why it waits, or empty: the text of problems. It
	// holds no row value.
	Reason string `json:"reason"`
	// RowsEstimated says that Rows are those that ClickHouse stores, outdated and deleted ones included; absent once
	// they were counted (Collector.Counted).
	RowsEstimated bool `json:"rows_estimated,omitempty"`
	// Inexact counts, by column, the values whose exact text is in `_inexact`, since their type does not hold them;
	// only where rows were counted.
	Inexact map[string]int64 `json:"inexact,omitempty"`
	// Waits says that load makes the table or its view wait and tries again by itself; Reason says why.
	Waits bool `json:"waits,omitempty"`
	// FormerRecords are how many offsets (records, and marks of transactions) the table's topic still has from before
	// its present copy, written under the policies that applied then; absent if there are none.
	FormerRecords int64 `json:"former_records,omitempty"`
	// Copied says that a quarantined table has been copied again, or is being copied: load has to apply it.
	Copied bool `json:"copied,omitempty"`
	// assumed says that the table is called copying only because the publication has it.
	assumed bool
	// problems are what Reason says: one for each half of the pipeline.
	problems []*cdc.Problem
	// refused is the newest generation that the quarantine concerns; 0 if it is not known.
	refused uint32
}

// because gives the reason why the table is quarantined, new or excluded.
func (t *TableStatus) because(problems ...*cdc.Problem) {
	var reasons []string
	for _, p := range problems {
		reasons = append(reasons, p.Error())
	}
	t.problems, t.Reason = problems, strings.Join(reasons, "; ")
}

// problem joins the problems of Reason into one.
func (t *TableStatus) problem() *cdc.Problem {
	var all []error
	for _, p := range t.problems {
		all = append(all, p)
	}
	return cdc.Together(all...)
}

// Excluded says that the table is no longer followed, so that it is not expected to be exact.
func (t *TableStatus) Excluded() bool { return t.Phase == string(cdc.TableExcluded) }

// Stuck says that waiting cannot make the table exact: it is quarantined and not copied again yet, or new.
func (t *TableStatus) Stuck() bool {
	return t.Phase == quarantined && !t.Copied || t.Phase == notCaptured
}

// rowsText is Rows for people.
func (t *TableStatus) rowsText() string {
	if t.RowsEstimated {
		return "~" + humanize.Comma(t.Rows)
	}
	return humanize.Comma(t.Rows)
}

// exactTexts says how many values are shown as a bound or as NULL, "" if none.
func (t *TableStatus) exactTexts() string {
	var parts []string
	for _, column := range slices.Sorted(maps.Keys(t.Inexact)) {
		parts = append(parts, column+" "+humanize.Comma(t.Inexact[column]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "exact text in _inexact: " + strings.Join(parts, ", ")
}
