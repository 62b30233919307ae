package status

import (
	"cmp"
	"maps"
	"slices"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/sinks/clickhouse/ledger"
)

const (
	quarantined = string(cdc.TableQuarantined)
	// notCaptured is the phase of a table that source.tables names and that the running capture has not seen.
	notCaptured = "new"
)

// assemble joins the servers' answers with the status of the capture in this process.
func assemble(f facts, capture capture.Status) Status {
	out := Status{Phase: string(capture.Phase), Tables: []TableStatus{}}
	all, known := f.complete[""]
	if known {
		lag := max(0, f.slot.current-int64(all.LSN)) //nolint:gosec // log positions are far below 2^63
		seconds := 0.0
		if lag > 0 {
			seconds = max(0, f.slot.at.Sub(all.CommitTime).Seconds())
		}
		out.LagBytes, out.LagSeconds = &lag, &seconds
	}
	if f.slot.found {
		out.RetainedWALBytes = &f.slot.retained
	}
	out.PassedOver = passedOver(f.notices)
	if at := slices.IndexFunc(f.notices, func(n ledger.Notice) bool { return n.Kind == ledger.NoticeTaken }); at >= 0 {
		out.Taken = f.notices[at].Reason
	}
	out.Tables = slices.AppendSeq(out.Tables, maps.Values(tableStatuses(f, capture)))
	sortTables(out.Tables)
	if out.Phase == "" || out.Phase == string(cdc.PhaseStreaming) {
		out.Phase = phase(f, out.Phase != "" || known, out.Tables)
	}
	out.capture, out.connected = f.slot.problem(out.Phase, all.LSN), f.slot.connected || f.slot.active
	if f.slot.waits != nil {
		out.Waits = f.slot.waits.Error()
		if out.capture == nil || f.slot.found && f.slot.walStatus != "lost" {
			out.capture = f.slot.waits
		}
	}
	if out.Progress = capture.Progress; out.Progress == "" && f.slot.connected && !known {
		out.Progress = f.progress()
	}
	if f.slot.nobodyReads(out.Phase) {
		out.inactive = f.slot.inactive()
	}
	if known {
		out.Tables = withUncaptured(out.Tables, f.named, capture)
	}
	return out
}

// progress says how far a first start of another process has come: first topics are made, then the tables are copied.
func (f *facts) progress() string {
	if f.slot.found {
		shown := 0
		for _, t := range f.named {
			if slices.ContainsFunc(viewNames(t.Table), func(view string) bool { _, is := f.shown[view]; return is }) {
				shown++
			}
		}
		return "copying: " + cdc.OfTables(shown, len(f.named)) + " in ClickHouse"
	}
	return "starting: topics of " + cdc.OfTables(min(f.topics, len(f.named)), len(f.named))
}

func sortTables(tables []TableStatus) {
	slices.SortFunc(tables, func(a, b TableStatus) int { return cmp.Compare(a.Table, b.Table) })
}

// phase infers the pipeline's phase from its tables': capture ends its part of a copy before load does.
func phase(f facts, begun bool, tables []TableStatus) string {
	switch {
	case !f.slot.found && !begun:
		return "none"
	case !begun, slices.ContainsFunc(tables, func(t TableStatus) bool { return t.Phase == string(cdc.TableCopying) }):
		return string(cdc.PhaseCopying)
	}
	return string(cdc.PhaseStreaming)
}

// tableStatuses: a table streams once it has a view; until then its rows are those that ClickHouse has stored.
func tableStatuses(f facts, capture capture.Status) map[string]TableStatus {
	tables := map[string]TableStatus{}
	at := func(name string) TableStatus {
		row := f.complete[name]
		t := TableStatus{Table: name, Phase: string(cdc.TableStreaming), Exact: row.Exact, DeadLetters: int64(row.DeadLetters), RowsEstimated: true} //nolint:gosec // a count
		var shown bool
		if t.Rows, shown = f.rows(name); !shown {
			t.Phase = string(cdc.TableCopying)
		}
		return t
	}
	for name := range f.complete {
		if name != "" {
			tables[name] = at(name)
		}
	}
	for _, c := range capture.Tables {
		if c.Phase == cdc.TableExcluded {
			continue
		}
		t := at(c.Table)
		if c.Phase != cdc.TableStreaming {
			t.Phase = string(c.Phase)
			t.because(cdc.ParseProblem(c.Reason))
		}
		tables[c.Table] = t
	}
	for name, reasons := range f.reasons {
		t := at(name)
		t.Phase, t.refused = quarantined, f.refused[name]
		t.because(reasons...)
		tables[name] = t
	}
	for name, reasons := range f.excluded {
		if t := at(name); t.Phase != string(cdc.TableCopying) { // without a view it cannot be read
			t.Phase, t.Exact = string(cdc.TableExcluded), false
			t.because(reasons...)
			tables[name] = t
		}
	}
	addWaiting(tables, f.notices, at)
	return tables
}

// addWaiting says which tables wait in load; at gives one that is not known yet.
func addWaiting(tables map[string]TableStatus, notices []ledger.Notice, at func(string) TableStatus) {
	for _, n := range notices {
		if n.Kind != ledger.NoticeWaits && n.Kind != ledger.NoticeView {
			continue
		}
		t, known := tables[n.Name]
		if !known {
			t = at(n.Name)
		}
		t.Waits = true
		t.because(append(t.problems, waits(n))...)
		tables[n.Name] = t
	}
}

// waits says why a table waits in load, whatever process says so.
func waits(n ledger.Notice) *cdc.Problem {
	what := "load: the table waits: "
	if n.Kind == ledger.NoticeView {
		what = "load: its view waits, rows are loaded: "
	}
	return cdc.ParseProblem(what + n.Reason)
}

// passedOver lists the topics to which others have written.
func passedOver(notices []ledger.Notice) (out []PassedOver) {
	for _, n := range notices {
		if n.Kind == ledger.NoticeForeign {
			out = append(out, PassedOver{Topic: n.Name, Records: n.Records, Reason: n.Reason})
		}
	}
	return out
}
