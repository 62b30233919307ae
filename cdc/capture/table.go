package capture

import (
	"context"
	"encoding/hex"

	"dirtbike/cdc"
)

// table is one captured table: its description in the catalog, and its state. Its rows come through relations.
type table struct {
	listed *cdc.Table     // the table as the catalog described it at the session's start
	state  cdc.TableState // its entry in the state topic; only the transitions of tablestate.go change its phase
	// former are tables that had its name before and are there still, for the state of its next generation.
	former  []cdc.FormerTable
	copyWhy error // why the plan has a table copied again that was not asked for; nil otherwise
	// otherPolicy says that the table's rows were written under another policy, and that nobody asked for a new copy.
	otherPolicy bool
	changed     bool      // the plan has changed the state, which is committed before anything else is done
	relation    *relation // the one whose rows are copied, and by which the table's markers are encoded
	// cut is that of the present generation: its copy includes every change before it. Zero before
	// the copy has ended.
	cut           cdc.Position
	held          *hold // while a range of it is read; for the follower alone
	warnedSkipped bool  // the log already says that changes before the cut are skipped
}

// relation is one description of a relation of the source, and what encodes rows of that description. It is immutable:
// another description is another relation with the same OID. A table has one; the leaves of a partitioned table would
// each have their own.
type relation struct {
	table    *table
	encoder  cdc.TableEncoder // nil if the table is quarantined
	leaf     uint32           // the OID that rows carry to distinguish partitions; 0 for a table that is not partitioned
	mismatch error            // why rows of this description cannot be encoded; nil if they can
}

// append encodes a change, unless a record of it is larger than the sink takes, in bytes; 0 is no limit. On an error
// the chunk is as it was.
func (r *relation) append(ctx context.Context, c *cdc.Chunk, m *cdc.Meta, ch cdc.RowChange, most int) error {
	records, bytes := len(c.Records), len(c.Bytes)
	if err := r.encoder.Append(ctx, c, m, ch); err != nil || most == 0 || len(c.Bytes)-bytes <= most {
		return err
	}
	for _, of := range c.Records[records:] {
		if size := of.End - of.Key; size > most {
			c.Records, c.Bytes = c.Records[:records], c.Bytes[:bytes]
			return cdc.TooLarge("a row makes a record of %d bytes, at most %d fit", size, most)
		}
	}
	return nil
}

// relations are the live ones, by OID.
type relations map[uint32]*relation

func (t *table) name() string { return t.listed.FullName() }

func (t *table) quarantined() bool { return t.state.Phase == cdc.TableQuarantined }

// waiting says that the table is quarantined and tried again by itself.
func (t *table) waiting() bool { return t.quarantined() && t.state.Waits }

// readCut finds out below which position the table's copy has everything.
func (t *table) readCut() error {
	stored := t.state.Cut
	switch {
	case t.goesOn():
		stored = t.state.From
	case t.state.Phase != cdc.TableStreaming || t.state.Cut == "":
		return nil
	}
	packed, err := hex.DecodeString(stored)
	if err == nil {
		t.cut, err = cdc.UnpackPosition(packed)
	}
	if err != nil {
		return &cdc.TableTrouble{Err: cdc.Failed("the stored cut of the table cannot be read").Because(err)}
	}
	return nil
}

// goesOn says that the table's generation was opened and its copy cut short, so that the copy can go on.
func (t *table) goesOn() bool {
	st, l := &t.state, t.listed
	return st.Phase == cdc.TableCopying && st.From != "" && st.Cut == "" && st.OID == l.OID && cdc.SameShape(st.Shape, l.Shape) &&
		st.KeyPrint == l.KeyPrint && st.PolicyPrint == l.PolicyPrint && st.Cleanup == cdc.CleanupOf(l.Topic)
}

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

// control adds a control of the table to the chunk, under the next number. The table's state, which has the number,
// must be committed with it.
func (t *table) control(c *cdc.Chunk, m cdc.Meta, kind cdc.ControlKind) {
	t.state.Controls++
	m.Controls = t.state.Controls
	t.relation.encoder.Control(c, &m, kind)
}
