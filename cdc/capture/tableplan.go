package capture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dirtbike/cdc"
)

// At a first start a person is there to fix what does not fit, so everything must. Later there may be none, and a
// stopped capture makes Postgres keep its log: then only the table that cannot be captured is affected. One that was
// captured is quarantined, a new one is skipped, and a name in the config that no longer matches causes a warning.
// Where everything is copied again, a person is there, too, and names must match; but what others may have put under a
// pattern meanwhile keeps nobody from the way out of every gap.

// admit refuses what a start must not begin with.
func (p *planner) admit(out *plan, listed []*cdc.Table, state *cdc.State, database string) error {
	if out.mode != resume {
		must := listed
		if out.mode == resnapshotAll || state.Source.Phase != cdc.PhaseNone { // the latter ends what was cut short
			must = slices.DeleteFunc(slices.Clone(listed), func(t *cdc.Table) bool { return !t.Exactly })
		}
		if err := unfit(out.unmatched, must); err != nil {
			return err
		}
	}
	if len(listed) == 0 && !p.started { // later the tables may have been dropped; now it is the config that names none
		return cdc.Refused("no table of database %s is named by source.tables", database).Fix(`tables: ["public.*"]`)
	}
	if table := p.dropped(state.Tables); len(out.unmatched) > 0 && table != "" && !p.started {
		err := cdc.Refused("table %s was captured and source.tables no longer names it, while a name in the config matches nothing", table).
			Because(cdc.OneLine(out.unmatched...)).Keeps("Nothing was changed")
		err.Try = append(slices.Clone(err.Remedies()), cdc.Remedy{Command: "if " + table + " is to be left out, remove that name from the config"})
		return err
	}
	return nil
}

// LeftOut says why a start does not take a table on, which it has not begun under its name; nil if it does. Nothing of
// the table leaves then.
func LeftOut(l *cdc.Table, state *cdc.State) error {
	stored := state.Tables[l.FullName()]
	if begun(l, stored) {
		return nil
	}
	if why := cdc.OneLine(l.Refused, l.BlocksStart); why != nil {
		return why
	}
	return Exposed(l, state)
}

// dropped gives a captured table that is still there and that the config has ceased to name; "" if there is none.
// Together with a name that matches nothing it is most likely a typing error, which would cost a new copy.
func (p *planner) dropped(stored map[string]cdc.TableState) string {
	unselected := p.o.Tables.UnselectedTables()
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if t := stored[name]; t.Phase != cdc.TableExcluded && unselected[t.OID] != "" {
			return name
		}
	}
	return ""
}

// unfit refuses with everything that is wrong with the tables, each problem once; nil if nothing is. What blocks the
// start of a table may be caused by a misspelled name, which must be fixed first.
func unfit(unmatched []error, tables []*cdc.Table) error {
	all := slices.Clone(unmatched)
	for _, t := range tables {
		if all = append(all, t.Refused); len(unmatched) == 0 {
			all = append(all, t.BlocksStart)
		}
	}
	var once cdc.Problems
	for _, err := range all {
		if err != nil && !slices.ContainsFunc(once, func(said error) bool { return said.Error() == err.Error() }) {
			once = append(once, err)
		}
	}
	switch len(once) {
	case 0:
		return nil
	case 1:
		return (&cdc.Problem{Kind: cdc.ErrRefused}).Because(once[0])
	}
	return fmt.Errorf("%w: %w", cdc.ErrRefused, once)
}

func cannotBeCopied(t *cdc.Table, why error) error {
	return cdc.Refused("%s cannot be copied", t.FullName()).Because(why).Keeps("Nothing was changed")
}

// planTable gives the table the state that it begins with, as far as the stored one still fits. A change of the table
// itself quarantines it; what only another config can bring about (the policy, a name that its columns do not have, the
// prefix) is refused: it shows at the start of a process, when nothing runs yet.
func (p *planner) planTable(m startMode, t *table, state *cdc.State) error {
	l, stored := t.listed, t.state
	bare := uncovered(l, state)
	switch {
	case bare != nil && (m != resume || p.request.names(t.name())):
		return cannotBeCopied(l, bare)
	case m != resume && l.Refused != nil:
		return p.planRefused(t)
	case m != resume:
		return t.restart()
	case p.request.names(t.name()):
		return t.planRequested()
	case bare != nil:
		return t.quarantine(cdc.Explain(bare).ThenCopy(t.name()))
	case stored.Phase == tableNew, stored.Phase == cdc.TableExcluded:
		return nil
	case stored.Phase == cdc.TableQuarantined:
		return p.planQuarantined(t)
	case l.Refused != nil:
		return p.planRefused(t)
	case stored.Topic != l.Topic.Name:
		return otherTopic(l, stored.Topic)
	}
	if why := changed(l, stored); why != nil {
		if stored.Phase == cdc.TableStreaming {
			return t.quarantine(why)
		}
		return nil // a copy that has not ended begins again, with the table as it is now
	}
	t.otherPolicy = stored.PolicyPrint != l.PolicyPrint
	return nil
}

// otherPolicies refuses to go on with tables whose policies have changed; nil if there are none. Their copies need all
// of them in one command, and also what was asked for.
func (p *planner) otherPolicies(tables []*table) error {
	var changed, again []string
	for _, t := range tables {
		if t.otherPolicy {
			changed = append(changed, t.name())
		}
		if t.otherPolicy || p.request.names(t.name()) {
			again = append(again, t.name())
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return cdc.Refused("the privacy policy of %s has changed since the rows were written; mixing both would be neither private nor exact", cdc.Few(changed)).
		Fix("%s", cdc.ResnapshotCommand(again...)).Fix("put the former policy back")
}

// planQuarantined tries a table again that waits, when its time has come; another stays quarantined.
func (p *planner) planQuarantined(t *table) error {
	l, stored := t.listed, t.state
	if stored.Waits && l.Refused == nil && stored.Topic == l.Topic.Name {
		if p.retries.due(t.name()) {
			return t.on(copyNeeded)
		}
		return nil
	}
	return t.quarantine(stillUnfit(l, stored.Reason))
}

// planRefused quarantines a captured table that cannot be captured any more, unless it is the config that has changed.
func (p *planner) planRefused(t *table) error {
	l, stored := t.listed, t.state
	if l.RefusedByConfig && !p.started && stored.OID == l.OID && cdc.SameShape(stored.Shape, l.Shape) {
		return cdc.Refused("%s is captured and its columns are as they were, but the config does not fit them any more", t.name()).
			Because(l.Refused).Keeps("Nothing was changed")
	}
	return t.quarantine(cdc.Explain(l.Refused).ThenCopy(t.name()))
}

// planRequested plans a new copy of a table that was asked for by name, whatever changed in its policy, key or shape.
func (t *table) planRequested() error {
	switch stored := t.state; {
	case t.listed.Refused != nil:
		return cannotBeCopied(t.listed, t.listed.Refused)
	case stored.Topic != "" && stored.Topic != t.listed.Topic.Name:
		return otherTopic(t.listed, stored.Topic)
	case stored.Phase == tableNew || stored.Phase == cdc.TableExcluded:
		return nil
	}
	return t.on(copyNeeded)
}

func otherTopic(t *cdc.Table, stored string) error {
	return cdc.Refused("%s was written to topic %s, now it would be %s", t.FullName(), stored, t.Topic.Name).Fix("put kafka.prefix back")
}

// stillUnfit is a stored reason, with what keeps the table from being copied again if something does.
func stillUnfit(t *cdc.Table, reason string) error {
	stored := cdc.ParseProblem(reason)
	if t.Refused == nil {
		return stored
	}
	now := cdc.Explain(t.Refused)
	if strings.Contains(stored.What, now.What) {
		return stored
	}
	now.What = stored.What + "; as it is now it cannot be copied: " + now.What
	return now.ThenCopy(t.FullName())
}

// changed says how the table itself has changed since its generation was opened; nil if nothing has. The policy of a
// column that came or went changes the policy's fingerprint, too, so that this is asked first.
func changed(t *cdc.Table, stored cdc.TableState) error {
	var why string
	switch {
	case stored.OID != t.OID:
		why = "the table was dropped and made again: its changes in between are unknown"
	case !cdc.SameShape(stored.Shape, t.Shape):
		why = cdc.ShapeChange(stored.Shape, t.Shape, stored.Columns, t.Columns, t.Unsent...) + ": its rows may have changed without an event since it was copied"
	case stored.KeyPrint != t.KeyPrint && stored.PolicyPrint == t.PolicyPrint: // the fingerprint of a key holds its columns' policies
		why = "the table's key has changed since its rows were written"
	default:
		return nil
	}
	return copyToFix(t, why)
}

// copyToFix is a problem that a new copy of the table solves.
func copyToFix(t *cdc.Table, why string) error {
	return cdc.Failed("%s", why).Fix("%s", cdc.ResnapshotCommand(t.FullName()))
}
