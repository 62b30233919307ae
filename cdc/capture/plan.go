package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// startMode is how a session gets to where it can follow the log.
type startMode uint8

const (
	resume        startMode = iota // slot and point are there
	firstStart                     // neither is: the slot is made
	adoptSlot                      // a first start that was cut short between the creation of the slot and the commit of its point
	resnapshotAll                  // a new slot takes the place of the former, under the next epoch
)

// plan is what a start is going to do: decided before anything is changed, and carried out by session.start. Everything
// that is refused is refused while it is made.
type plan struct {
	mode      startMode
	slotFound bool
	// source and point are what the state begins with.
	source cdc.SourceState
	point  cdc.Point
	// tables are all that are captured, or quarantined.
	tables []tablePlan
	// skipped are tables that the config names and that must not be begun.
	skipped []skippedTable
	// deselected are the names in the state of tables that are not captured any more.
	deselected []string
	// unmatched are names in the config that match nothing any more, one error each.
	unmatched []error
	// published says what publishes each of the tables; nil unless the slot is there and stays.
	published map[uint32]cdc.PublishedBy
}

// tablePlan is what is done with one table, and why.
type tablePlan struct {
	listed *cdc.Table
	stored cdc.TableState
	do     tableAction
	// why it is quarantined or copied again; nil otherwise.
	why error
	// write says that stored has changed and is committed before anything else is done.
	write bool
}

type skippedTable struct {
	listed *cdc.Table
	why    error
}

// tableAction is what is done with one table.
type tableAction uint8

const (
	goOn       tableAction = iota // follow it if its copy has ended, otherwise copy it
	startAgain                    // nothing that was written of it counts
	copyAgain                     // a new generation takes the place of what was copied
	quarantine                    // its changes are not written
)

// makesSlot says that the start makes the slot, so that a person is there to fix what does not fit: everything must.
func (p *plan) makesSlot() bool { return p.mode == firstStart || p.mode == resnapshotAll }

// captured are the tables that are not quarantined.
func (p *plan) captured() (out []*cdc.Table) {
	for _, t := range p.tables {
		if t.do != quarantine {
			out = append(out, t.listed)
		}
	}
	return out
}

// planner makes the plan of a start. It asks source and catalog, logs nothing and changes nothing, so that it can also
// try a start before anybody is fenced.
type planner struct {
	o       *Options
	request *resnapshotRequest
	// started says that a session of this process has got through its start: what does not fit now is not the config's
	// fault.
	started bool
}

// slot must be asked for before the state is read: with another capture writing, the slot is never ahead of the state
// then.
func (p *planner) slot(ctx context.Context) (slot cdc.SlotStatus, found bool, err error) {
	if slot, found, err = p.o.Source.Slot(ctx); err != nil {
		err = fmt.Errorf("read slot %s: %w", p.o.Slot, err)
	}
	return slot, found, err
}

// plan makes the plan. The state must have been read before: the server's log never ends before the stored point then.
func (p *planner) plan(ctx context.Context, state *cdc.State, slot cdc.SlotStatus, found bool) (*plan, error) {
	identity, err := p.o.Source.Identify(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Postgres who it is: %w", err)
	}
	check := &startCheck{
		slotName: p.o.Slot, partitions: p.o.Partitions, hashKeys: p.o.HashKeys, request: p.request,
		state: state, identity: identity, slot: slot, slotFound: found,
	}
	if err := check.check(); err != nil {
		return nil, err
	}
	listed, err := p.o.Tables.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the captured tables: %w", err)
	}
	out := &plan{mode: p.mode(state.Source.Phase, found), slotFound: found, unmatched: p.o.Tables.UnmatchedNames()}
	out.source, out.point = p.begin(out.mode, state, identity, slot)
	if err := p.admit(out, listed, state, identity.Database); err != nil {
		return nil, err
	}
	if err := p.planTables(out, listed, state.Tables); err != nil {
		return nil, err
	}
	if out.mode == firstStart || out.mode == resnapshotAll {
		return out, nil
	}
	return out, p.comparePublished(ctx, out, check)
}

func (p *planner) mode(stored cdc.Phase, slotFound bool) startMode {
	fresh := stored == cdc.PhaseNone || stored == cdc.PhaseCreating
	switch {
	case p.request.isForAll():
		return resnapshotAll
	case fresh && slotFound:
		return adoptSlot
	case fresh:
		return firstStart
	}
	return resume
}

// begin gives the source's state and the point that the start goes from.
func (p *planner) begin(m startMode, state *cdc.State, identity cdc.Identity, slot cdc.SlotStatus) (cdc.SourceState, cdc.Point) {
	if m == resume {
		src := state.Source
		src.Timeline, src.HashKeys = identity.Timeline, maps.Clone(p.o.HashKeys)
		if src.HashKeys == nil {
			src.HashKeys = map[string]string{}
		}
		maps.Copy(src.HashKeys, state.Source.HashKeys) // the keys that the topics were written with stay known
		return src, state.Point
	}
	src := cdc.SourceState{
		Format: cdc.StateFormat, Phase: cdc.PhaseCreating, Epoch: max(state.Source.Epoch, 1), System: identity.System, Timeline: identity.Timeline,
		Database: identity.Database, Slot: p.o.Slot, Partitions: p.o.Partitions, HashKeys: p.o.HashKeys,
	}
	point := state.Point
	switch m {
	case resnapshotAll:
		src.Phase, src.Epoch = cdc.PhaseRenewing, nextEpoch(state)
		point = cdc.Point{Position: cdc.Position{Epoch: src.Epoch}, Time: state.Point.Time}
	case adoptSlot:
		src.ConsistentPoint = slot.ConfirmedFlush
		point = pointAt(src.Epoch, slot.ConfirmedFlush)
	case firstStart, resume:
	}
	return src, point
}

// pointAt is the point of a slot's consistent point.
func pointAt(epoch uint32, lsn cdc.LSN) cdc.Point {
	return cdc.Point{Position: cdc.Position{Epoch: epoch, CommitLSN: lsn}, Reported: lsn, Time: nowMicros()}
}

// nextEpoch is above every epoch that anybody knows of.
func nextEpoch(state *cdc.State) uint32 {
	return max(state.Source.Epoch, state.Point.Position.Epoch, state.HighWater.Epoch) + 1
}

// planTables plans every table that is listed, and finds those of the state that are not.
func (p *planner) planTables(out *plan, listed []*cdc.Table, stored map[string]cdc.TableState) error {
	for _, t := range listed {
		if why := startBlocker(t, stored[t.FullName()]); why != nil {
			if p.request.names(t.FullName()) {
				return cannotBeCopied(t, why)
			}
			out.skipped = append(out.skipped, skippedTable{t, why})
			continue
		}
		planned, err := p.planTable(out.mode, t, stored[t.FullName()])
		if err != nil {
			return err
		}
		out.tables = append(out.tables, planned)
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if stored[name].Phase != cdc.TableExcluded && !out.has(name) {
			out.deselected = append(out.deselected, name)
		}
	}
	return p.request.allThere(out)
}

func (p *plan) has(name string) bool {
	return slices.ContainsFunc(p.tables, func(t tablePlan) bool { return t.listed.FullName() == name })
}

// comparePublished asks what publishes the tables and compares it with what did when their states were written. A table
// that is not published, or that left and came back, gets a new generation: its changes meanwhile were not sent. The
// others keep what publishes them now, so that a member added since then may carry them on; one that is added and takes
// over between two starts makes a copy that was not needed. A state without members, written by an earlier build,
// adopts those of now.
func (p *planner) comparePublished(ctx context.Context, out *plan, check *startCheck) error {
	found, published, err := p.o.Source.Published(ctx, out.captured())
	if err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	if err := check.published(found); err != nil {
		return err
	}
	out.published = published
	for i := range out.tables {
		out.tables[i].compare(published[out.tables[i].listed.OID])
	}
	return nil
}

// compare brings a table that is followed up to date, or has it copied again if it was outside the publication.
func (t *tablePlan) compare(now cdc.PublishedBy) {
	if t.do != goOn || t.stored.Phase != cdc.TableStreaming {
		return
	}
	stored := t.stored.PublishedBy
	switch {
	case len(now) == 0 || len(stored) > 0 && !stored.SharesWith(now):
		t.do, t.write = copyAgain, true
		t.why = errors.New("the table was taken out of the publication, or the publication was altered, so that changes may have been missed")
		return
	case !slices.Equal(stored, now):
		t.stored.PublishedBy, t.write = now, true
	}
	if len(t.stored.Columns) == 0 && len(t.listed.Columns) > 0 { // written by a build that stored none; the shape is the same
		t.stored.Columns, t.write = t.listed.Columns, true
	}
}

// show logs what a start goes on without.
func (p *plan) show(r *reporter) {
	for _, why := range p.unmatched {
		r.warnOnce("a name in the config matches nothing any more; capture goes on without it", why)
	}
	for _, s := range p.skipped {
		r.skipped(s.listed, s.why)
	}
	for _, t := range p.tables {
		if t.do == copyAgain && t.why != nil {
			r.log.Warn("a table is copied again", zap.String("table", t.listed.FullName()), zap.Error(t.why))
		}
	}
}
