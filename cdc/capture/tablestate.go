package capture

import (
	"encoding/hex"
	"fmt"
	"slices"

	"dirtbike/cdc"
)

// tableNew is the phase of a table without an entry in the state topic.
const tableNew cdc.TablePhase = ""

// tableEvent is what may happen to a table.
type tableEvent string

const (
	// generationOpened: the markers of a new generation are written, its copy begins.
	generationOpened tableEvent = "a generation is opened"
	// copyEnded: all rows of the copy and its end markers are written.
	copyEnded tableEvent = "its copy has ended"
	// copyNeeded: it was asked for, the topic was deleted, the table was outside the publication while no capture ran,
	// or it waits and is tried again.
	copyNeeded tableEvent = "it needs a new copy"
	// tableRefused: from here on its changes cannot be carried, or may be unknown.
	tableRefused tableEvent = "it is quarantined"
	// tableDeselected: the config does not name it any more, or it is gone.
	tableDeselected tableEvent = "it is no longer named"
	// pipelineRestarted: the first start was cut short, or all tables are copied again; nothing that was written
	// counts.
	pipelineRestarted tableEvent = "the pipeline starts again"
)

// transitions are all there are; any other is an error.
//
//	new ──────┐                       ┌─────────── copyNeeded ────────────┐
//	          │                       ▼                                   │
//	          ├── generationOpened ─▶ copying ──────── copyEnded ───────▶ streaming
//	          │                       │     ▲                             │
//	excluded ─┘            tableRefused     copyNeeded                    tableRefused
//	                                  ▼     │                             │
//	                                  quarantined ◀───────────────────────┘
//
//	new, excluded ── tableRefused ──▶ quarantined          its schema is refused before it is begun
//	copying ── generationOpened, copyNeeded ──▶ copying    the copy was cut short
//	quarantined ── tableRefused ──▶ quarantined            another reason
//	any ── tableDeselected ──▶ excluded
//	any ── pipelineRestarted ──▶ new
var transitions = map[tableEvent]struct {
	to   cdc.TablePhase
	from []cdc.TablePhase
}{
	generationOpened:  {cdc.TableCopying, []cdc.TablePhase{tableNew, cdc.TableExcluded, cdc.TableCopying}},
	copyNeeded:        {cdc.TableCopying, []cdc.TablePhase{cdc.TableCopying, cdc.TableStreaming, cdc.TableQuarantined}},
	copyEnded:         {cdc.TableStreaming, []cdc.TablePhase{cdc.TableCopying}},
	tableRefused:      {cdc.TableQuarantined, anyPhase},
	tableDeselected:   {cdc.TableExcluded, anyPhase},
	pipelineRestarted: {tableNew, anyPhase},
}

var anyPhase = []cdc.TablePhase{tableNew, cdc.TableCopying, cdc.TableStreaming, cdc.TableQuarantined, cdc.TableExcluded}

func nextPhase(table string, from cdc.TablePhase, event tableEvent) (cdc.TablePhase, error) {
	if t, known := transitions[event]; known && slices.Contains(t.from, from) {
		return t.to, nil
	}
	return from, fmt.Errorf("table %s, which is %q, cannot go on when %s", table, from, event)
}

// on makes the transition, in memory: the caller sends the state with the part whose rows it belongs to. The state is
// as it was if there is no such transition.
func (t *table) on(event tableEvent) (err error) {
	if t.state.Phase, err = nextPhase(t.name(), t.state.Phase, event); err == nil && event == copyNeeded {
		t.state.From, t.state.CopiedTo = "", "" // a copy that was cut short is not gone on with
	}
	return err
}

// open begins the next generation, with the table as the catalog describes it now.
func (t *table) open() error {
	if err := t.on(generationOpened); err != nil {
		return err
	}
	t.describe(t.state.Generation + 1)
	return nil
}

// cutAt is the cut that the generation will have.
func (t *table) cutAt(cut cdc.Position) { t.cut, t.state.From = cut, packed(cut) }

func packed(p cdc.Position) string { return hex.EncodeToString(p.AppendTo(nil)) }

// describe replaces the state by one of the table as the catalog describes it now, in the same phase.
func (t *table) describe(generation uint32) {
	l := t.listed
	t.state = cdc.TableState{
		Format: cdc.StateFormat, Schema: l.Schema, Table: l.Name, OID: l.OID, Topic: l.Topic.Name, Phase: t.state.Phase,
		Generation: generation, KeyPrint: l.KeyPrint, PolicyPrint: l.PolicyPrint, Shape: l.Shape, Columns: l.Columns,
		Cleanup: cdc.CleanupOf(l.Topic), Former: t.former,
	}
}

// ended ends the copy: all its rows have versions at or above cut.
func (t *table) ended(rows int64, cut cdc.Position) error {
	if err := t.on(copyEnded); err != nil {
		return err
	}
	t.state.Rows, t.state.Cut, t.state.CopiedTo, t.cut = rows, packed(cut), "", cut
	return nil
}

// quarantine stops capturing the table (failure has three scopes: a row, a table, the pipeline): its changes are no
// longer written, those of other tables are. The reason is stored as text and read with cdc.ParseProblem. One that is a
// cdc.TableTrouble which does not last makes the table wait.
func (t *table) quarantine(reason error) error {
	fresh := !begun(t.listed, t.state)
	if err := t.on(tableRefused); err != nil {
		return err
	}
	if fresh {
		t.describe(t.state.Generation)
	}
	said := cdc.Explain(reason).Of(nil)
	if t.state.Waits = waits(reason); t.state.Waits {
		said = said.Keeps("It is tried again by itself, and then copied")
	}
	t.state.Reason = said.Error()
	return nil
}

// reasonChanged says that the state of a quarantined table is not the stored one. What keeps a table from being copied
// that was quarantined before is shown, and not stored.
func (t *table) reasonChanged(stored cdc.TableState) bool {
	return stored.Phase != cdc.TableQuarantined || stored.Waits != t.state.Waits || t.state.Waits && stored.Reason != t.state.Reason
}

// waits says that a table which is refused for that reason is tried again by itself.
func waits(reason error) bool {
	trouble := cdc.OfOneTable(reason)
	return trouble != nil && !trouble.Lasting
}

// restart forgets all but the generation's number, which the next one must exceed.
func (t *table) restart() error {
	if err := t.on(pipelineRestarted); err != nil {
		return err
	}
	t.state = cdc.TableState{Generation: t.state.Generation, Phase: t.state.Phase}
	return nil
}

// deselect is the state of a table that is not captured any more.
func deselect(stored cdc.TableState) (cdc.TableState, error) {
	phase, err := nextPhase(stored.Name(), stored.Phase, tableDeselected)
	stored.Phase, stored.Reason, stored.Waits = phase, "", false
	return stored, err
}
