package cdc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// compile lays the stored state beside the tables and makes topics and encoders for those that are not quarantined.
func (s *session) compile(ctx context.Context, tables []*Table) error {
	if s.state.Tables == nil {
		s.state.Tables = map[string]TableState{}
	}
	s.status.begin()
	for _, t := range tables {
		live := &liveTable{Table: t, state: s.state.Tables[t.FullName()]}
		if err := s.adopt(live); err != nil {
			return err
		}
		s.live[t.OID] = live
		s.status.table(live, live.state.Rows)
		if live.quarantined() {
			continue
		}
		if err := s.Sink.EnsureTopic(ctx, t.Topic); err != nil {
			return fmt.Errorf("topic %s: %w", t.Topic.Name, err)
		}
		var err error
		if live.encoder, err = s.Tables.Encoder(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.FullName(), err)
		}
	}
	return nil
}

// adopt decides whether the stored state still fits the table.
func (s *session) adopt(t *liveTable) error {
	stored := t.state
	switch {
	case s.state.Source.Phase == PhaseCreating:
		t.state = TableState{Generation: stored.Generation} // no row has been written yet
		return nil
	case stored.Phase == "" || stored.Phase == TableExcluded:
		return nil
	case stored.Phase == TableQuarantined:
		s.quarantine(t, errors.New(stored.Reason))
		return nil
	case stored.Phase == TableStreaming && stored.OID != t.OID:
		s.quarantine(t, errors.New("the table was dropped and made again: its changes in between are unknown. Try: "+CopyAgain))
		return nil
	case stored.Phase == TableStreaming && !SameShape(stored.Shape, t.Shape):
		s.quarantine(t, errors.New("the table's columns have changed since it was copied: its rows may have changed without an event. Try: "+CopyAgain))
		return nil
	}
	return checkPrints(t.Table, stored)
}

// excludeUnnamed marks tables of the state that the config no longer names, and keeps quarantines found at compile.
func (s *session) excludeUnnamed() []StateChange {
	named := map[string]bool{}
	var changed []StateChange
	for _, t := range s.live {
		named[t.FullName()] = true
		if t.quarantined() && s.state.Tables[t.FullName()].Phase != TableQuarantined {
			changed = append(changed, t.state)
		}
	}
	for name, t := range s.state.Tables {
		if !named[name] && t.Phase != TableExcluded {
			t.Phase, t.Reason = TableExcluded, ""
			s.state.Tables[name] = t
			changed = append(changed, t)
		}
	}
	return changed
}

// uncopied lists the tables whose present generation has not ended, the largest first.
func (s *session) uncopied() []*liveTable {
	var out []*liveTable
	for _, t := range s.live {
		switch t.state.Phase {
		case "", TableCopying, TableExcluded:
			out = append(out, t)
		case TableStreaming, TableQuarantined:
		}
	}
	slices.SortFunc(out, func(a, b *liveTable) int {
		return cmp.Or(cmp.Compare(b.EstimatedRows, a.EstimatedRows), cmp.Compare(a.FullName(), b.FullName()))
	})
	return out
}

// SameShape reports whether rows written under the stored shape still mean the same: equal columns, and no enum label renamed.
func SameShape(stored, now string) bool {
	columns, labels, _ := strings.Cut(stored, ";")
	columnsNow, labelsNow, _ := strings.Cut(now, ";")
	have := map[string]bool{}
	for label := range strings.SplitSeq(labelsNow, ",") {
		have[label] = true
	}
	for label := range strings.SplitSeq(labels, ",") {
		if label != "" && !have[label] {
			return false
		}
	}
	return columns == columnsNow
}
