package oracle

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CheckOptions says what CheckExactlyOnce may assume.
type CheckOptions struct {
	// Tables ("schema.table") whose changes are expected in topics.
	Tables []string
	// Prefix of the topics: a record of schema.table must be in Prefix.schema.table.
	Prefix string
	// Since is an LSN: changes and records of transactions whose commit record starts before it count for neither side.
	// Give the later of ChangeLog.Start and the pipeline's own consistent point; 0 takes everything.
	Since uint64
	// Until is an LSN between two transactions: what ends after it counts for neither side; 0 takes everything.
	Until uint64
	// Epoch leaves out the records of all other epochs; 0 takes every one.
	Epoch uint64
	// Published reports whether pgoutput delivers a table's changes (the leaf's name for a partition). If set, every
	// ordinal is checked against rule 1; nil checks only their order.
	Published func(table string) bool
}

// FaultKind classes what CheckExactlyOnce finds.
type FaultKind string

// The kinds of faults.
const (
	FaultLost      FaultKind = "lost"      // expected and not there
	FaultDoubled   FaultKind = "doubled"   // there more than once
	FaultExtra     FaultKind = "extra"     // there and not expected
	FaultReordered FaultKind = "reordered" // there, but not in commit order
	FaultMoved     FaultKind = "moved"     // in a wrong partition or topic
	FaultPosition  FaultKind = "position"  // a position that is not its own: shared, or a wrong ordinal
	FaultTombstone FaultKind = "tombstone" // one that follows no delete of its key
	FaultControl   FaultKind = "control"   // a control record that contradicts itself
)

// Fault is one finding. Its text names keys: synthetic data only.
type Fault struct {
	Kind FaultKind
	Text string
}

// Faults is the error of CheckExactlyOnce.
type Faults []Fault

// Error counts the faults by kind and lists the first twenty.
func (f Faults) Error() string {
	counts := map[FaultKind]int{}
	var lines []string
	for _, fault := range f {
		counts[fault.Kind]++
		if len(lines) < 20 {
			lines = append(lines, string(fault.Kind)+": "+fault.Text)
		}
	}
	return fmt.Sprintf("oracle: not exactly once: %v\n  %s", counts, strings.Join(lines, "\n  "))
}

// Has reports whether there is a fault of the kind.
func (f Faults) Has(kind FaultKind) bool {
	return slices.ContainsFunc(f, func(x Fault) bool { return x.Kind == kind })
}

// CheckExactlyOnce compares records (of ReadTopics) with the expected changes (of ChangeLog.Read). Every c, u and d
// must be there exactly once, an UPDATE that changed the key as d and c, a truncate once on each partition of its
// topic, and nothing else; all of a transaction in its order by ordinal, each key's records in commit order and in the
// partition that the key's hash names; positions are unique; tombstones follow a delete of their key. Records r, open
// and end are not checked. The error is Faults, or says that nothing was expected, which would prove nothing.
func CheckExactlyOnce(expected []Change, records []Record, o CheckOptions) error {
	c := checker{options: o, txs: expectedTransactions(expected, o)}
	if len(c.txs) == 0 {
		return errors.New("oracle: no change is expected of these tables: the check would prove nothing")
	}
	sorted := slices.Clone(records)
	slices.SortFunc(sorted, byOffset)
	c.placement(sorted)
	c.transactions(c.unique(sorted))
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

// checker is one run of CheckExactlyOnce.
type checker struct {
	options CheckOptions
	txs     []*expectedTx // in commit order
	faults  Faults
}

// item is one record as the list expects it, without its place.
type item struct {
	op         Op
	table, key string
}

func (i item) String() string { return fmt.Sprintf("%s %s %s", i.op, i.table, i.key) }

// expectedTx is a transaction that touched the tables.
type expectedTx struct {
	xid      uint32
	after    uint64 // LSN of its last change: its commit record starts after it
	from     uint64 // where the commit before it ends, captured or not: its commit record starts there or later
	end      uint64 // where its commit record ends
	items    []item
	ordinals []uint64 // of items
	found    bool
}

// fault notes what is wrong.
func (c *checker) fault(kind FaultKind, format string, args ...any) {
	c.faults = append(c.faults, Fault{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// judged reports whether the record counts: a row change or a truncate, not before Since.
func (c *checker) judged(r Record) bool {
	o := c.options
	if r.Tombstone || r.Position.CommitLSN < o.Since || o.Until > 0 && r.Position.CommitLSN >= o.Until || o.Epoch > 0 && r.Position.Epoch != o.Epoch {
		return false
	}
	return r.Op != OpRead && r.Op != OpMarker // an unknown op matches nothing expected, and is found as extra
}

// expectedTransactions turns the changes into what topics must hold.
func expectedTransactions(changes []Change, o CheckOptions) []*expectedTx {
	var txs []*expectedTx
	var tx *expectedTx
	var ordinal uint64
	for i, change := range changes {
		if i == 0 || change.Commit != changes[i-1].Commit {
			tx, ordinal = &expectedTx{xid: change.XID, end: change.CommitEnd}, 0
			if i > 0 {
				tx.from = changes[i-1].CommitEnd
			}
			txs = append(txs, tx)
		}
		tx.after = max(tx.after, change.LSN)
		ordinal = tx.add(change, ordinal, o)
	}
	return slices.DeleteFunc(txs, func(tx *expectedTx) bool {
		return len(tx.items) == 0 || tx.end <= o.Since || o.Until > 0 && tx.end > o.Until
	})
}

// add appends the change's items, if its table is captured, and gives the last ordinal it takes (rule 1).
func (tx *expectedTx) add(change Change, ordinal uint64, o CheckOptions) uint64 {
	table, first := change.FullName(), ordinal
	if o.Published == nil || o.Published(cmp.Or(change.Leaf, table)) {
		ordinal++
		if change.Op == OpUpdate {
			ordinal++
		}
	}
	if !slices.Contains(o.Tables, table) {
		return ordinal
	}
	expect := func(op Op, key map[string]string, at uint64) {
		tx.items, tx.ordinals = append(tx.items, item{op, table, keyString(key)}), append(tx.ordinals, at)
	}
	switch {
	case change.KeyChanged():
		expect(OpDelete, change.OldKey, first+1)
		expect(OpCreate, change.NewKey, ordinal)
	case change.Op == OpDelete:
		expect(OpDelete, change.OldKey, ordinal)
	default:
		expect(change.Op, change.NewKey, ordinal)
	}
	return ordinal
}

// keyString writes a key unambiguously, its columns sorted.
func keyString(key map[string]string) string {
	parts := make([]string, 0, len(key))
	for _, column := range slices.Sorted(maps.Keys(key)) {
		parts = append(parts, fmt.Sprintf("%s=%q", column, key[column]))
	}
	return strings.Join(parts, " ")
}

// itemOf is the record as an item.
func itemOf(r Record) item { return item{r.Op, r.Schema + "." + r.Table, keyString(r.Key)} }
