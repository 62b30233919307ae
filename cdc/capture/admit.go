package capture

import (
	"dirtbike/cdc"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"
)

// At a first start somebody is there to mend what does not fit, so everything must. Later nobody may be, and a stopped capture makes
// Postgres keep its log: what cannot be captured then costs its own table only. One that was captured is quarantined, one that is
// new is left out, and a name in the config that nothing has any more is warned of.

// admit refuses what a first start must not begin with, and warns of what a later one goes on without.
func (s *session) admit(identity cdc.Identity, tables []*cdc.Table) error {
	misnamed := s.Tables.UnmatchedNames()
	if s.state.Source.Phase == cdc.PhaseCreating {
		if err := unfit(misnamed, tables); err != nil {
			return fmt.Errorf("%w: %w", cdc.ErrRefused, err)
		}
	}
	if len(tables) == 0 && !s.settled { // later the tables may have been dropped; now it is the config that names none
		return fmt.Errorf("%w: no table of database %s is named by source.tables. Try: tables: [\"public.*\"]", cdc.ErrRefused, identity.Database)
	}
	if table := s.dropped(); len(misnamed) > 0 && table != "" && !s.settled {
		return fmt.Errorf("%w: table %s was captured and source.tables no longer names it, while a name in the config matches nothing; nothing was changed: %w; remove it if %s is to be left out", cdc.ErrRefused, table, cdc.OneLine(misnamed...), table)
	}
	for _, why := range misnamed {
		s.warnOnce("a name in the config matches nothing any more; capture goes on without it", why)
	}
	return nil
}

// dropped gives a captured table that is still there and that the config has ceased to name; "" if there is none. Together with a
// name that matches nothing it is most likely a slip of the pen, which would cost a new copy.
func (s *session) dropped() string {
	unnamed := s.Tables.UnselectedTables()
	for _, name := range slices.Sorted(maps.Keys(s.state.Tables)) {
		if t := s.state.Tables[name]; t.Phase != cdc.TableExcluded && slices.Contains(unnamed, t.OID) {
			return name
		}
	}
	return ""
}

// unfit is everything that speaks against the tables, each thing once; nil if nothing does. A doubt may come of a misnamed table,
// which must be mended first.
func unfit(misnamed []error, tables []*cdc.Table) error {
	all := slices.Clone(misnamed)
	for _, t := range tables {
		if all = append(all, t.Refused); len(misnamed) == 0 {
			all = append(all, t.BlocksStart)
		}
	}
	var once cdc.Problems
	said := map[string]bool{}
	for _, err := range all {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			once = append(once, err)
		}
	}
	if len(once) == 0 {
		return nil
	}
	return once
}

// begun reports whether the state says that rows of this table are, or are being, written. (A dot in a name can make two tables'
// full names equal.)
func (t *liveTable) begun() bool {
	switch t.state.Phase {
	case cdc.TableCopying, cdc.TableStreaming, cdc.TableQuarantined:
		return t.state.Schema == t.Schema && t.state.Table == t.Name
	case cdc.TableExcluded, "":
	}
	return false
}

// keptOut says why the table must not be begun; nil if it may be, or is already.
func (t *liveTable) keptOut() error {
	if t.begun() {
		return nil
	}
	return errors.Join(t.Refused, t.BlocksStart)
}

// leaveOut does without a new table: nothing of it is published, and each process says so once.
func (s *session) leaveOut(t *cdc.Table, why error) {
	why = cdc.OneLine(why)
	s.warnOnce("a new table is not captured, the others go on", why, zap.String("table", t.FullName()))
	s.status.leftOut(t, why)
}

// warnOnce logs once in a process what every session finds again.
func (s *session) warnOnce(message string, why error, fields ...zap.Field) {
	if s.warned == nil {
		s.warned = map[string]bool{}
	}
	if key := message + why.Error(); !s.warned[key] {
		s.warned[key] = true
		s.Log.Warn(message, append(fields, zap.Error(why))...)
	}
}
