package capture

import "dirtbike/cdc"

// table is one captured table: its description in the catalog, and its state. Its rows come through relations.
type table struct {
	// listed is the table as the catalog described it at the session's start.
	listed *cdc.Table
	// state is its entry in the state topic; only the transitions of tablestate.go change its phase.
	state cdc.TableState
	// copyWhy says why the plan has a table copied again that was not asked for; nil otherwise.
	copyWhy error
	// changed says that the plan has changed the state, which is committed before anything else is done.
	changed bool
	// relation is the one whose rows are copied, and by which the table's markers are encoded.
	relation *relation
	// cut is the version of the present generation's snapshot: the copy includes every change before it. Zero before
	// the copy has ended, and until following begins.
	cut cdc.Position
	// warnedSkipped says that the log already says that changes before the cut are skipped.
	warnedSkipped bool
}

// relation is one description of a relation of the source, and what encodes rows of that description. It is immutable:
// another description is another relation with the same OID. A table has one; the leaves of a partitioned table would
// each have their own.
type relation struct {
	table *table
	// encoder is nil if the table is quarantined.
	encoder cdc.TableEncoder
	// leaf is the OID that rows carry to distinguish partitions; 0 for a table that is not partitioned.
	leaf uint32
	// mismatch says why rows of this description cannot be encoded; nil if they can.
	mismatch error
}

// relations are the live ones, by OID.
type relations map[uint32]*relation

func (t *table) name() string { return t.listed.FullName() }

func (t *table) quarantined() bool { return t.state.Phase == cdc.TableQuarantined }

// copyDue says that the table's present generation has not ended, or that it has none.
func (t *table) copyDue() bool { return !t.quarantined() && t.state.Phase != cdc.TableStreaming }

// begun reports whether the state says that rows of this table are, or are being, written. (A dot in a name can make
// two tables' full names equal.)
func begun(t *cdc.Table, stored cdc.TableState) bool {
	return stored.Phase != tableNew && stored.Phase != cdc.TableExcluded && stored.Schema == t.Schema && stored.Table == t.Name
}

// capturable gives those of the tables that are not quarantined, as the catalog describes them.
func capturable(tables []*table) (out []*cdc.Table) {
	for _, t := range tables {
		if !t.quarantined() {
			out = append(out, t.listed)
		}
	}
	return out
}
