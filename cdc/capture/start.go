package capture

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// session is one life of the connections: it carries out the plan of its start, copies and follows.
type session struct {
	o         *Options
	request   *resnapshotRequest // nil to follow the log
	report    *reporter
	committer *committer
	live      *live      // once the log is followed
	state     *cdc.State // its Tables are as they were at the start; a table's own state is what is current
	retries   *retries
	plan      *plan
	tables    []*table
	relations relations
}

// start brings the session to where it can follow the log: checks, slot, encoders, first copies (rules 1, 2, 4, 9, 13,
// 29).
func (s *session) start(ctx context.Context, planner *planner) (err error) {
	if s.plan, err = planner.plan(ctx, func(context.Context) (*cdc.State, error) { return s.state, nil }); err != nil {
		return err
	}
	if s.state = s.plan.state; s.state.Tables == nil {
		s.state.Tables = map[string]cdc.TableState{}
	}
	s.report.begin()
	s.plan.show(s.report)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	switch s.plan.mode {
	case firstStart:
		return s.create(ctx)
	case resnapshotAll:
		return s.resnapshotAll(ctx)
	case resume, adoptSlot:
	}
	return s.resume(ctx)
}

// prepare makes the planned tables the session's, with topic and encoder where they can be captured. What is one
// table's trouble makes that table wait.
func (s *session) prepare(ctx context.Context) error {
	var troubled troubles
	const step = "preparing topics and schemas"
	for i, t := range s.plan.tables {
		s.report.progress(step, i, len(s.plan.tables))
		t.relation = &relation{table: t}
		s.tables = append(s.tables, t)
		s.relations[t.listed.OID] = t.relation
		if t.quarantined() {
			s.report.quarantined(t)
			continue
		}
		err := s.compile(ctx, t)
		switch {
		case err == nil:
			troubled.fine++
			s.report.status.table(t, t.state.Rows)
		case cdc.OfOneTable(err) == nil, s.request.names(t.name()):
			return err
		default:
			troubled.all = append(troubled.all, tableTrouble{t, err})
		}
		if err := troubled.ofAll(false); err != nil {
			return err
		}
	}
	s.report.progress(step, len(s.plan.tables), len(s.plan.tables))
	if err := troubled.ofAll(true); err != nil {
		return err
	}
	if troubled.fine == 0 && len(troubled.all) > 0 && s.plan.mode.makesSlot() { // nothing could be begun, and a person is there
		return cdc.Explain(troubled.all[0].err).Of(cdc.ErrRefused)
	}
	for _, one := range troubled.all {
		if err := s.quarantine(one.table, one.err); err != nil {
			return err
		}
	}
	return nil
}

// compile makes topic and encoder. An error that is a cdc.TableTrouble speaks of this table.
func (s *session) compile(ctx context.Context, t *table) error {
	if err := t.readCut(); err != nil {
		return err
	}
	if err := s.makeTopic(ctx, t); err != nil {
		return fmt.Errorf("topic %s: %w", t.listed.Topic.Name, err)
	}
	var err error
	if t.relation.encoder, err = s.o.Tables.Encoder(ctx, t.listed); err != nil {
		return fmt.Errorf("table %s: %w", t.name(), err)
	}
	return nil
}

// makeTopic makes or checks the table's topic. One that was deleted is made again, and the table copied; one that was
// to blame for the end of the last session, and does not show why, is not tried at once.
func (s *session) makeTopic(ctx context.Context, t *table) error {
	topic := t.listed.Topic
	created, err := s.committer.ensureTopic(ctx, topic)
	s.retries.ensured(topic.Name, err)
	switch {
	case err != nil:
		return err
	case !created:
		return s.retries.blamed(topic.Name)
	}
	s.retries.forgive(topic.Name)
	if t.state.Phase != cdc.TableStreaming && t.state.From == "" {
		return nil
	}
	s.report.log.Warn("the table's topic was deleted; it is copied again", zap.String("table", t.name()), zap.String("topic", topic.Name))
	if err := t.on(copyNeeded); err != nil {
		return err
	}
	return s.commitNow(ctx, t.state) // before anything else can fail: it is created only once
}

// commitNow commits changes of the state with the session's point, and waits until they are durable.
func (s *session) commitNow(ctx context.Context, changed ...cdc.StateChange) error {
	point := s.state.Point
	return s.committer.commitNow(ctx, part{reached: &point, changed: changed})
}

// create is the first start (rule 4): state `creating` and the open markers, publication, slot, consistent point,
// copies.
func (s *session) create(ctx context.Context) error {
	s.report.log.Info("first start: creating publication and slot", zap.String("slot", s.o.Slot), zap.Int("tables", len(s.tables)))
	if err := s.open(ctx, s.copiesDue(), s.planned()); err != nil {
		return err
	}
	return s.makeSlot(ctx)
}

// makeSlot makes publication and slot after the open markers, and copies the tables.
func (s *session) makeSlot(ctx context.Context) error {
	if err := s.publish(ctx); err != nil {
		return err
	}
	if err := s.notePublished(ctx, s.copiesDue()); err != nil {
		return err
	}
	point, err := s.o.Source.CreateSlot(ctx)
	if err != nil {
		return fmt.Errorf("create slot %s: %w", s.o.Slot, err)
	}
	s.state.Source.ConsistentPoint, s.state.Source.Phase = point, cdc.PhaseStreaming
	s.state.Point = pointAt(s.state.Source.Epoch, point)
	return s.commitNow(ctx, s.state.Source)
}

// resume continues from an existing slot: new tables, and those that need another copy, get a new generation. They are
// copied while the main slot is followed from where it stopped (rangeCopy).
func (s *session) resume(ctx context.Context) error {
	changed := s.planned()
	if err := s.commitNow(ctx, append(changed, s.state.Source)...); err != nil {
		return err
	}
	if err := s.publish(ctx); err != nil {
		return err
	}
	anew := slices.DeleteFunc(s.copiesDue(), func(t *table) bool {
		return t.goesOn() && t.state.PublishedBy.SharesWith(s.plan.published[t.listed.OID])
	})
	if len(anew) > 0 {
		if err := s.open(ctx, anew, nil); err != nil {
			return err
		}
		if err := s.notePublished(ctx, anew); err != nil {
			return err
		}
	}
	return s.noteStreaming(ctx)
}

// copiesDue lists the tables whose present generation has not ended, the largest first.
func (s *session) copiesDue() (out []*table) {
	for _, t := range s.tables {
		if t.copyDue() {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *table) int {
		return cmp.Or(cmp.Compare(b.listed.EstimatedRows, a.listed.EstimatedRows), cmp.Compare(a.name(), b.name()))
	})
	return out
}

// planned gives what the plan changed in the state: tables that were quarantined or brought up to date, and those that
// are not captured any more.
func (s *session) planned() (changed []cdc.StateChange) {
	for _, t := range s.tables {
		if t.changed && !t.quarantined() || t.quarantined() && t.reasonChanged(s.state.Tables[t.name()]) {
			changed = append(changed, t.state)
		}
	}
	for _, excluded := range s.plan.deselected {
		s.state.Tables[excluded.Name()] = excluded
		changed = append(changed, excluded)
	}
	return changed
}

// open begins a new generation of each table: its open markers and its state are one transaction, committed before the
// table is read. Other changes of the state go with it.
func (s *session) open(ctx context.Context, tables []*table, changed []cdc.StateChange) error {
	c, err := s.committer.pool.get(ctx)
	if err != nil {
		return err
	}
	changed = append(changed, s.state.Source)
	for _, t := range tables {
		before := t.state.PolicyPrint
		if err := t.open(); err != nil {
			return err
		}
		s.report.policyChanged(t, before)
		meta := cdc.Meta{Position: s.state.Point.Position, Generation: t.state.Generation, CommitTime: s.state.Point.Time, Now: nowMicros()}
		meta.Position.Epoch, meta.Position.Ordinal = s.state.Source.Epoch, 0
		t.cutAt(cdc.Position{Epoch: s.state.Source.Epoch, CommitLSN: t.listed.Described})
		t.control(c, meta, cdc.ControlOpen)
		changed = append(changed, t.state)
		s.report.status.table(t, 0)
	}
	point := s.state.Point
	return s.committer.commitNow(ctx, part{chunk: c, reached: &point, changed: changed})
}

func nowMicros() int64 { return time.Now().UnixMicro() }
