package preflight

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/config"
)

// TestSlotAndState: what a missing slot means depends on the stored state; and what the state was not compared with is
// said.
func TestSlotAndState(t *testing.T) {
	gone := fmt.Errorf("%w: slot dirtbike is gone; changes after 0/1 cannot be read any more. Try: %s", cdc.ErrGap, cdc.ResnapshotAllCommand)
	for _, c := range []struct {
		combined
		level         Level
		says, command string
	}{
		{combined{slotMissing: true, known: true}, LevelOK, "it is not there; dirtbike makes it at the first start", ""},
		{combined{slotMissing: true, known: true, phase: cdc.PhaseCreating}, LevelOK, "it is not there; dirtbike makes it at the first start", ""},
		{combined{slotMissing: true}, LevelOK, "it is not there. A first start makes it; whether this would be one, the stored state says, which could not be read", ""},
		{combined{slotMissing: true, known: true, phase: cdc.PhaseStreaming, refusal: gone}, LevelError, "changes are missing between the stored position and the source: slot dirtbike is gone; changes after 0/1 cannot be read any more", cdc.ResnapshotAllCommand},
		{combined{slotMissing: true, known: true, phase: cdc.PhaseCopying}, LevelError, "it is gone, and the stored state (phase copying) goes on from it: what was changed since then cannot be read any more", cdc.ResnapshotAllCommand},
		{combined{slotMissing: true, known: true, phase: cdc.PhaseCopying, passed: true}, LevelOK, "it was made while this was checked", ""},
		{combined{slotLost: true}, LevelError, "Postgres has given up its log, so that changes are missing",
			"raise max_slot_wal_keep_size, then dirtbike resnapshot --all; if the slot is another pipeline's, name another in source.slot"},
	} {
		p := &part{name: partPostgres}
		r := &run{config: &config.Config{}, combined: c.combined}
		r.judgeMissingSlot(p)
		found := p.close()
		require.Len(t, found, 1)
		require.Equal(t, []any{c.level, c.says, c.command}, []any{found[0].Level, found[0].Message, found[0].Command})
	}
	p := &part{name: partPostgres}
	(&run{config: &config.Config{}}).judgeMissingSlot(p)
	require.Empty(t, p.close(), "a slot that is there has been judged")

	aboutSlot := cdc.Gap("slot dirtbike is gone").Because(capture.ErrSlotMissing)
	for _, c := range []struct {
		phase cdc.Phase
		slot  cdc.SlotStatus
		found bool
		err   error
		wants bool
	}{
		{cdc.PhaseStreaming, cdc.SlotStatus{}, false, fmt.Errorf("start: %w", aboutSlot), true},
		{cdc.PhaseRenewing, cdc.SlotStatus{}, false, cdc.Refused("no end").Because(capture.ErrSlotMissing), true},
		{cdc.PhaseNone, cdc.SlotStatus{WALStatus: "lost"}, true, aboutSlot, true},
		{cdc.PhaseStreaming, cdc.SlotStatus{Invalidation: "idle_timeout"}, true, aboutSlot, true},
		{cdc.PhaseStreaming, cdc.SlotStatus{}, false, cdc.Refused("the topics were made with 3 partitions"), false},
		{cdc.PhaseStreaming, cdc.SlotStatus{WALStatus: "reserved"}, true, aboutSlot, false},
		{cdc.PhaseNone, cdc.SlotStatus{}, false, aboutSlot, false},
	} {
		require.Equal(t, c.wants, wants(&cdc.State{Source: cdc.SourceState{Phase: c.phase}}, c.slot, c.found, c.err), c.err)
	}
}

// TestStateNotCompared: that no tables were listed does not mean that there are none.
func TestStateNotCompared(t *testing.T) {
	stored := &cdc.State{Source: cdc.SourceState{Phase: cdc.PhaseStreaming, Epoch: 1}}
	for _, c := range []struct {
		tables []*cdc.Table
		err    error
		state  *cdc.State
		says   string
	}{
		{[]*cdc.Table{{}, {}}, nil, &cdc.State{}, "nothing is stored: this would be a first start, which copies 2 tables"},
		{[]*cdc.Table{}, nil, &cdc.State{}, "nothing is stored: this would be a first start, which copies 0 tables"},
		{nil, errors.New("dial"), &cdc.State{}, "nothing is stored; what a first start would copy could not be compared with the source, since Postgres is not reachable"},
		{nil, cdc.ErrRefused, &cdc.State{}, "nothing is stored; what a first start would copy could not be compared with the source, since Postgres did not list its tables"},
		{nil, errors.New("dial"), stored, "phase streaming, epoch 1, up to 0/0; it could not be compared with the source, since Postgres is not reachable"},
		{[]*cdc.Table{{}}, nil, stored, "phase streaming, epoch 1, up to 0/0"},
	} {
		r := &run{config: &config.Config{}, listed: make(chan struct{}), parts: map[string]*part{partPostgres: {name: partPostgres}}}
		r.list(c.tables)
		if c.err != nil {
			r.parts[partPostgres].connectError("h", c.err)
		}
		p := &part{name: partPipeline}
		r.judgeState(p, c.state, len(c.tables))
		require.Equal(t, c.says, p.close()[0].Message)
	}
}

// TestRenamedTableIsWarnedOf: one that was captured under policies, and that no policy names under its present name.
func TestRenamedTableIsWarnedOf(t *testing.T) {
	state := &cdc.State{Tables: map[string]cdc.TableState{
		"public.a": {Schema: "public", Table: "a", OID: 1, Phase: cdc.TableStreaming, PolicyPrint: "strict", Topic: "p.public.a", Columns: []cdc.Column{
			{Number: 1, Name: "ssn", Policy: "drop"}, {Number: 2, Name: "zip", Policy: "zip3"},
		}},
		"public.c": {Schema: "public", Table: "c", OID: 3, Phase: cdc.TableStreaming, PolicyPrint: "none", Topic: "p.public.c"},
	}}
	swapped := []cdc.Column{{Number: 1, Name: "zip", Policy: "zip3"}, {Number: 2, Name: "ssn", Policy: "drop"}}
	for name, c := range map[string]struct {
		table *cdc.Table
		warns int
	}{
		"renamed":             {&cdc.Table{Schema: "public", Name: "b", OID: 1, Unnamed: true, PolicyPrint: "none"}, 1},
		"named":               {&cdc.Table{Schema: "public", Name: "b", OID: 1, PolicyPrint: "none"}, 0},
		"under its own name":  {&cdc.Table{Schema: "public", Name: "a", OID: 1, Unnamed: true, PolicyPrint: "none"}, 0},
		"another":             {&cdc.Table{Schema: "public", Name: "b", OID: 2, Unnamed: true, PolicyPrint: "none"}, 0},
		"swapped columns":     {&cdc.Table{Schema: "public", Name: "a", OID: 1, PolicyPrint: "strict", Columns: swapped}, 1},
		"another's name":      {&cdc.Table{Schema: "public", Name: "c", OID: 1, PolicyPrint: "none", Columns: swapped[:1]}, 1},
		"as strict as it was": {&cdc.Table{Schema: "public", Name: "b", OID: 1, Unnamed: true, PolicyPrint: "strict"}, 0},
	} {
		p := &part{name: partPipeline}
		judgeRenamed(p, state, []*cdc.Table{c.table})
		warned := p.close()
		require.Len(t, warned, c.warns, name)
		if c.warns > 0 {
			require.Equal(t, LevelWarning, warned[0].Level)
			require.NotEmpty(t, warned[0].Try)
		}
	}
}
