package capture

import (
	"maps"
	"slices"
	"strconv"

	"dirtbike/cdc"
)

// Policies are written for names, and names move: what was withheld under one must not leave under another that was
// not written for it. The state keeps under which policy each column was captured, by OID and number.

// Exposed says why something of a table, which was captured under policies, would leave under others that nobody has
// written for it: the table, or a column of it, was renamed. nil if nothing would. Nothing of it leaves meanwhile.
func Exposed(l *cdc.Table, state *cdc.State) error {
	if why := unprotected(l, state); why != nil {
		return why
	}
	return uncovered(l, state)
}

// unprotected says that a table which is not begun under its name, and which no policy names, is one that was
// captured under policies: it was renamed, and another may have its former name. It would leave as it is. nil if it is
// not so.
func unprotected(l *cdc.Table, state *cdc.State) error {
	own := state.Tables[l.FullName()]
	if begun(l, own) || own.OID == l.OID && own.Topic != "" && !withheld(own.Columns) { // a person has decided
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(state.Tables)) {
		stored := state.Tables[name]
		here := stored.OID == l.OID && stored.PolicyPrint != "" && stored.PolicyPrint != l.PolicyPrint
		before := slices.ContainsFunc(stored.Former, func(f cdc.FormerTable) bool { return f.OID == l.OID && otherTable(l, f.Columns, name) != nil })
		if l.Unnamed && (here || before) {
			return cdc.Failed("%s was captured under policies, as %s, and privacy.columns does not name it now: it would leave as it is", l.FullName(), name).
				Fix("name %s under privacy.columns, if only by \"*\": keep", l.FullName())
		}
	}
	return nil
}

// uncovered says that a column was captured under a policy, and would leave under another that was written for another
// column, or for another table: for what had its name, or its table's. nil if no column would.
func uncovered(l *cdc.Table, state *cdc.State) error {
	own := state.Tables[l.FullName()]
	if l.Refused != nil {
		return nil
	}
	if own.OID == l.OID {
		return otherColumn(l, own)
	}
	if own.Topic == "" { // nothing else was captured under this name: its policies are this table's
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(state.Tables)) {
		for _, f := range captured(state.Tables[name]) {
			if f.OID == l.OID {
				if why := otherTable(l, f.Columns, name); why != nil {
					return why
				}
			}
		}
	}
	return nil
}

// otherColumn says that a column of a table that kept its name would leave under another's policy, or under none.
func otherColumn(l *cdc.Table, stored cdc.TableState) error {
	for _, was := range stored.Columns {
		at := slices.IndexFunc(l.Columns, func(now cdc.Column) bool { return now.Number == was.Number && now.Name != was.Name })
		policy := slices.Index(l.Guarded, was.Name)
		if at < 0 || policy < 0 && was.Policy == "" {
			continue
		}
		now, where := l.Columns[at].Name, ""
		if policy >= 0 && policy < len(l.GuardedAt) {
			where = " (" + l.GuardedAt[policy] + ")"
		}
		hadOwner := slices.ContainsFunc(stored.Columns, func(c cdc.Column) bool { return c.Name == now })
		kept := policy >= 0 && slices.Contains(l.Kept, was.Number) && stored.Phase != cdc.TableExcluded // else a person has decided
		switch {
		case slices.Contains(l.Open, was.Number):
			return cdc.Failed("column %s was captured under a policy, as %s%s, and no policy names it now: it would leave as it is", now, was.Name, where).
				Fix("name column %s under privacy.columns, if only to keep it", now)
		case hadOwner && (kept || laxer(was, l.Columns[at])):
			return mayLeave(l, cdc.Failed("column %s was captured under a policy, as %s%s; what had its name was another column, under another policy", now, was.Name, where).
				Fix("rename the columns of %s back", l.FullName()))
		}
	}
	return nil
}

// otherTable says that a column would leave under the policies of the table that had the name before.
func otherTable(l *cdc.Table, columns []cdc.Column, name string) error {
	for _, was := range columns {
		at := slices.IndexFunc(l.Columns, func(now cdc.Column) bool { return now.Number == was.Number })
		if at < 0 || !laxer(was, l.Columns[at]) {
			continue
		}
		const what = "column %s was captured under a policy, as %s of %s; what had the name %s was another table, under other policies"
		return mayLeave(l, cdc.Failed(what, l.Columns[at].Name, was.Name, name, l.FullName()).
			Fix("give the tables %s and %s their former names", name, l.FullName()))
	}
	return nil
}

// mayLeave adds how a person says that the present names' policies are the right ones; see decide.
func mayLeave(l *cdc.Table, why *cdc.Problem) error {
	return why.Fix("if it may leave, add %s to source.tables, restart capture, and take that out again", strconv.Quote("!"+l.FullName()))
}

// laxer reports whether a column leaves under another policy than it was captured under. Which of two policies lets
// more out nobody can say in general; a column that is withheld lets nothing out.
func laxer(was, now cdc.Column) bool {
	return was.Policy != "" && was.Policy != now.Policy && now.Policy != "drop"
}

// withheld reports whether a column was captured under a policy.
func withheld(columns []cdc.Column) bool {
	return slices.ContainsFunc(columns, func(c cdc.Column) bool { return c.Policy != "" })
}

// captured gives every table that is known to have been captured under a name.
func captured(stored cdc.TableState) []cdc.FormerTable {
	return append(slices.Clone(stored.Former), cdc.FormerTable{OID: stored.OID, Columns: stored.Columns})
}

// formerTables gives the tables other than oid that were captured under its name, as long as they are there.
func formerTables(stored cdc.TableState, oid uint32, listed []*cdc.Table, unselected map[uint32]string) []cdc.FormerTable {
	return slices.DeleteFunc(captured(stored), func(f cdc.FormerTable) bool {
		there := unselected[f.OID] != "" || slices.ContainsFunc(listed, func(l *cdc.Table) bool { return l.OID == f.OID })
		return !there || f.OID == oid || !withheld(f.Columns)
	})
}

// decide takes note that a person has left a table out of the config which was captured under its name: naming it again
// says that the policies of its name, and of its columns' names, are the right ones. A table that only lost its name,
// or was dropped, is none that a person has left out.
func decide(stored *cdc.TableState, unselected map[uint32]string) bool {
	if stored.Topic == "" {
		return false
	}
	for oid, name := range unselected {
		switch {
		case name != stored.Name():
		case oid != stored.OID:
			stored.Former = captured(*stored)
			stored.OID, stored.Columns = oid, nil
			return true
		case withheld(stored.Columns):
			stored.Columns = slices.Clone(stored.Columns)
			for i := range stored.Columns {
				stored.Columns[i].Policy = ""
			}
			return true
		}
	}
	return false
}

// remember keeps in the state, under the table's present name, that it was captured under policies: the entry of its
// former name may become another table's.
func (p *plan) remember(t *table, state *cdc.State) error {
	kept := t.state
	kept.Format, kept.Schema, kept.Table, kept.OID = cdc.StateFormat, t.listed.Schema, t.listed.Name, t.listed.OID
	for _, stored := range state.Tables {
		if stored.OID == kept.OID && stored.PolicyPrint != t.listed.PolicyPrint {
			kept.PolicyPrint, kept.Columns = stored.PolicyPrint, stored.Columns
		}
	}
	excluded, err := deselect(kept)
	p.deselected = append(p.deselected, excluded)
	return err
}
