package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// startMode is how a session gets to where it can follow the log.
type startMode uint8

const (
	resume        startMode = iota // slot and point are there
	firstStart                     // neither is: the slot is made
	adoptSlot                      // a first start that was cut short between the creation of the slot and the commit of its point
	resnapshotAll                  // a new slot replaces the former, under the next epoch
)

// makesSlot says that the start makes the slot, so that a person is there to fix what does not fit: everything must.
func (m startMode) makesSlot() bool { return m == firstStart || m == resnapshotAll }

// plan is what a start is going to do: decided before anything is changed, and carried out by session.start. Everything
// that is refused is refused while it is made.
type plan struct {
	mode       startMode
	slotFound  bool
	state      *cdc.State                 // the stored one, with the source and the point that the start begins with
	tables     []*table                   // all that are captured, or quarantined, in the state that they begin with
	skipped    []skippedTable             // that the config names and that must not be begun
	deselected []cdc.TableState           // those of the state that are not captured any more
	unmatched  []error                    // names in the config that match nothing any more, one error each
	published  map[uint32]cdc.PublishedBy // what publishes each of the tables; nil unless the slot is there and stays
}

type skippedTable struct {
	listed *cdc.Table
	why    error
}

// planner makes the plan of a start. It logs nothing and changes nothing, so that it can also try a start before any
// capture is fenced.
type planner struct {
	o       *Options
	request *resnapshotRequest
	// started says that a session of this process has completed its start: what does not fit now is not the config's
	// fault.
	started bool
	retries *retries
}

// plan makes the plan. Another capture may be writing: because the slot is read before the state it is never ahead of
// it, and because the end of the log is read after the state it never lies before the stored point.
func (p *planner) plan(ctx context.Context, read func(context.Context) (*cdc.State, error)) (*plan, error) {
	slot, found, err := p.o.Source.Slot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read slot %s: %w", p.o.Slot, err)
	}
	state, err := read(ctx)
	if err != nil {
		return nil, err
	}
	identity, err := p.o.Source.Identify(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Postgres who it is: %w", err)
	}
	check := &startCheck{o: p.o, request: p.request, state: state, identity: identity, slot: slot, slotFound: found}
	if err := check.check(); err != nil {
		return nil, err
	}
	listed, err := p.o.Tables.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the captured tables: %w", err)
	}
	p.request.rename(listed, state)
	p.o.Listed(listed, state)
	out := &plan{mode: p.mode(state.Source.Phase, found), slotFound: found, unmatched: p.o.Tables.UnmatchedNames()}
	if err := p.admit(out, listed, state, identity.Database); err != nil {
		return nil, err
	}
	if err := p.planTables(out, listed, state); err != nil {
		return nil, err
	}
	out.state = p.begin(out.mode, *state, identity, slot)
	if out.mode.makesSlot() {
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

// begin gives the state that the start goes from.
func (p *planner) begin(m startMode, state cdc.State, identity cdc.Identity, slot cdc.SlotStatus) *cdc.State {
	stored := state.Source
	if m == resume {
		state.Source.Timeline, state.Source.HashKeys = identity.Timeline, map[string]string{}
		maps.Copy(state.Source.HashKeys, p.o.HashKeys)
		maps.Copy(state.Source.HashKeys, stored.HashKeys) // the keys that the topics were written with stay known
		return &state
	}
	state.Source = cdc.SourceState{
		Format: cdc.StateFormat, Phase: cdc.PhaseCreating, Epoch: max(stored.Epoch, 1), System: identity.System, Timeline: identity.Timeline,
		Database: identity.Database, Slot: p.o.Slot, Partitions: p.o.Partitions, HashKeys: p.o.HashKeys,
	}
	switch m {
	case resnapshotAll: // above every epoch that is known anywhere
		state.Source.Phase, state.Source.Epoch = cdc.PhaseRenewing, max(stored.Epoch, state.Point.Position.Epoch, state.HighWater.Epoch)+1
		state.Point = cdc.Point{Position: cdc.Position{Epoch: state.Source.Epoch}, Time: state.Point.Time}
	case adoptSlot:
		state.Source.ConsistentPoint = slot.ConfirmedFlush
		state.Point = pointAt(state.Source.Epoch, slot.ConfirmedFlush)
	case firstStart, resume:
	}
	return &state
}

// pointAt is the point of a slot's consistent point.
func pointAt(epoch uint32, lsn cdc.LSN) cdc.Point {
	return cdc.Point{Position: cdc.Position{Epoch: epoch, CommitLSN: lsn}, Reported: lsn, Time: nowMicros()}
}

// planTables plans every table that is listed, and finds those of the state that are not.
func (p *planner) planTables(out *plan, listed []*cdc.Table, state *cdc.State) error {
	for _, l := range listed {
		t := &table{listed: l, state: state.Tables[l.FullName()]}
		t.former = formerTables(t.state, l.OID, listed, p.o.Tables.UnselectedTables())
		why := LeftOut(l, state)
		if l.Refused == nil && l.BlocksStart == nil && unprotected(l, state) != nil && t.state.OID != l.OID {
			if err := out.remember(t, state); err != nil {
				return err
			}
		}
		switch {
		case why == nil:
			if err := p.planTable(out.mode, t, state); err != nil {
				return err
			}
			out.tables = append(out.tables, t)
		case p.request.names(t.name()):
			return cannotBeCopied(l, why)
		default:
			out.skipped = append(out.skipped, skippedTable{l, why})
		}
	}
	if out.mode != resume && len(out.tables) == 0 {
		return unfit(nil, listed)
	}
	if err := p.otherPolicies(out.tables); err != nil {
		return err
	}
	if err := out.deselect(state, p.o.Tables.UnselectedTables()); err != nil {
		return err
	}
	return p.request.allThere(out)
}

// deselect marks the tables of the state that are not captured any more. Where everything is copied again they keep the
// highest generation that is known anywhere: one that comes back must begin above it. unselected are the names, by OID,
// of the tables that are there and that the config does not name.
func (p *plan) deselect(state *cdc.State, unselected map[uint32]string) error {
	known := map[string]uint32{}
	if p.mode == resnapshotAll {
		maps.Copy(known, state.HighWater.Generations)
	}
	for name, stored := range state.Tables {
		known[name] = max(known[name], stored.Generation)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		stored := state.Tables[name]
		decided := decide(&stored, unselected)
		if p.has(name) || !decided && stored.Phase == cdc.TableExcluded && stored.Generation >= known[name] {
			continue
		}
		if stored.Generation = known[name]; stored.Table == "" {
			stored.Format = cdc.StateFormat
			stored.Schema, stored.Table, _ = strings.Cut(name, ".")
		}
		excluded, err := deselect(stored)
		if err != nil {
			return err
		}
		p.deselected = append(p.deselected, excluded)
	}
	return nil
}

func (p *plan) has(name string) bool {
	return slices.ContainsFunc(p.tables, func(t *table) bool { return t.name() == name })
}

// comparePublished asks what publishes the tables and compares it with what did when their states were written. A table
// that is not published, or that left and came back, gets a new generation: its changes meanwhile were not sent. The
// others keep what publishes them now; a member that is added and replaces the former between two starts causes a copy
// that was not needed. A state without members, written by an earlier build, adopts those of now.
func (p *planner) comparePublished(ctx context.Context, out *plan, check *startCheck) error {
	found, published, err := p.o.Source.Published(ctx, capturable(out.tables))
	if err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	if err := check.published(found); err != nil {
		return err
	}
	out.published = published
	for _, t := range out.tables {
		if err := t.compare(published[t.listed.OID]); err != nil {
			return err
		}
	}
	return nil
}

// compare brings a table that is followed up to date, or has it copied again if it was outside the publication.
func (t *table) compare(now cdc.PublishedBy) error {
	if t.state.Phase != cdc.TableStreaming {
		return nil
	}
	stored := t.state.PublishedBy
	switch {
	case len(now) == 0 || len(stored) > 0 && !stored.SharesWith(now):
		t.changed = true
		t.copyWhy = errors.New("the table was taken out of the publication, or the publication was altered, so that changes may have been missed")
		return t.on(copyNeeded)
	case !slices.Equal(stored, now):
		t.state.PublishedBy, t.changed = now, true
	}
	t.keepCleanup()
	if !slices.Equal(t.state.Columns, t.listed.Columns) { // written by a build that stored less; shape and policies are the same
		t.state.Columns, t.changed = t.listed.Columns, true
	}
	return nil
}

// keepCleanup has the generation's records made for the clean-up that it began with: its topic fits that one, and
// another replica identity gives another only to the next generation.
func (t *table) keepCleanup() {
	if t.state.Cleanup == "" { // written by a build that stored none
		t.state.Cleanup, t.changed = cdc.CleanupOf(t.listed.Topic), true
	}
	if topic := TopicOf(t.listed, t.state); topic != t.listed.Topic {
		t.listed.Topic = topic
	}
}

// TopicOf is the topic that a start would write the table's changes to, as it must be to go on from the stored state.
func TopicOf(listed *cdc.Table, stored cdc.TableState) *cdc.Topic {
	if stored.Phase != cdc.TableStreaming || stored.Cleanup == "" || stored.Cleanup == cdc.CleanupOf(listed.Topic) {
		return listed.Topic
	}
	topic := *listed.Topic
	topic.Compacted = stored.Cleanup == cdc.CleanupCompact
	return &topic
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
		if t.copyWhy != nil {
			r.log.Warn("a table is copied again", zap.String("table", t.name()), zap.Error(t.copyWhy))
		}
	}
}
