package ops

import (
	"cmp"
	"slices"

	"dirtbike/cdc"
)

const quarantined = string(cdc.TableQuarantined)

// assemble joins what the servers said with what the capture in this process knows.
func assemble(f facts, capture cdc.Status) Status {
	out := Status{Phase: string(capture.Phase), Tables: []TableStatus{}}
	all, known := f.complete[""]
	if known {
		lag := max(0, f.slot.current-int64(all.lsn)) //nolint:gosec // log positions are far below 2^63
		seconds := 0.0
		if lag > 0 {
			seconds = max(0, f.slot.at.Sub(all.commitTime).Seconds())
		}
		out.LagBytes, out.LagSeconds = &lag, &seconds
	}
	if f.slot.found {
		out.RetainedWALBytes = &f.slot.retained
	}
	for _, t := range tableStatuses(f, capture) {
		out.Tables = append(out.Tables, t)
	}
	slices.SortFunc(out.Tables, func(a, b TableStatus) int { return cmp.Compare(a.Table, b.Table) })
	if out.Phase == "" {
		out.Phase = phase(f, known, out.Tables)
	}
	return out
}

// phase infers from outside what a capture would say.
func phase(f facts, complete bool, tables []TableStatus) string {
	switch {
	case !f.slot.found && !complete:
		return "none"
	case !complete, slices.ContainsFunc(tables, func(t TableStatus) bool { return t.Phase == string(cdc.TableCopying) }):
		return string(cdc.PhaseCopying)
	}
	return string(cdc.PhaseStreaming)
}

func tableStatuses(f facts, capture cdc.Status) map[string]TableStatus {
	tables := map[string]TableStatus{}
	for name, row := range f.complete {
		if name == "" {
			continue
		}
		t := TableStatus{Table: name, Phase: string(cdc.TableStreaming), Rows: f.rows[name], Exact: row.exact, DeadLetters: int64(row.deadLetters)} //nolint:gosec // a count
		if !f.shown[name] {
			t.Phase = string(cdc.TableCopying)
		}
		tables[name] = t
	}
	for _, c := range capture.Tables {
		if c.Phase == cdc.TableExcluded {
			continue
		}
		t := tables[c.Table]
		t.Table, t.Phase, t.Reason = c.Table, string(c.Phase), c.Reason
		if c.Phase == cdc.TableCopying {
			t.Rows = c.Rows
		}
		tables[c.Table] = t
	}
	for name, reason := range f.reasons {
		t := tables[name]
		t.Table, t.Phase, t.Reason = name, quarantined, reason
		tables[name] = t
	}
	return tables
}
