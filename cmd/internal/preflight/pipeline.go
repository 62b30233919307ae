package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
)

// checkPipeline runs a start's checks of the stored state, which is read without fencing a capture.
func (r *run) checkPipeline(ctx context.Context, p *part) {
	tables := r.captured(ctx)
	state, err := r.trial.Sink.Peek(ctx)
	if err != nil {
		said := explain(err)
		said.What = "the stored state cannot be read: " + strings.TrimPrefix(said.What, "kafka sink: peek: ")
		if isDenied(err) {
			said = cdc.Failed("the stored state cannot be read, because the rights above are missing")
		}
		p.problem("pipeline-state", r.where(partPipeline), said, err)
		return
	}
	state = cmp.Or(state, &cdc.State{})
	r.note(func(l *combined) { l.known, l.phase = true, state.Source.Phase })
	r.judgeHashKey(p, state)
	r.judgeState(p, state, len(tables))
	judgeRenamed(p, state, tables)
	if r.trial.Keyless && len(state.Source.HashKeys) > 0 {
		return // without the key the policy of every hashed table would seem changed
	}
	err = r.trial.Capture.WouldStart(ctx)
	if err == nil {
		r.note(func(l *combined) { l.passed = true })
		p.ok("pipeline-start", r.where(partPipeline), "a start would not be refused")
		return
	}
	r.judgeRefusal(ctx, p, state, err)
}

// judgeState says which state is stored, and what it could not be compared with.
func (r *run) judgeState(p *part, state *cdc.State, tables int) {
	away, first := r.unlisted(), state.Source.Phase == cdc.PhaseNone
	stored := fmt.Sprintf("phase %s, epoch %d, up to %s", state.Source.Phase, state.Source.Epoch, state.Point.Reported)
	switch {
	case first && away != "":
		stored = "nothing is stored; what a first start would copy could not be compared with the source, since " + away
	case first:
		stored = "nothing is stored: this would be a first start, which copies " + count(tables, "table")
	case away != "":
		stored += "; it could not be compared with the source, since " + away
	}
	p.ok("pipeline-state", r.where(partPipeline), "%s", stored)
}

// judgeRenamed warns of tables that a start would not take, since something of them was renamed and would leave under
// policies that were not written for it.
func judgeRenamed(p *part, state *cdc.State, tables []*cdc.Table) {
	for _, t := range tables {
		if why := capture.Exposed(t, state); why != nil {
			said, does := explain(why), "leave it out: "
			if stored := state.Tables[t.FullName()]; stored.Phase != "" && stored.Phase != cdc.TableExcluded {
				said, does = said.ThenCopy(t.FullName()), "quarantine it: "
			}
			p.add(Check{Slug: "pipeline-start", Level: LevelWarning, Subject: t.FullName(), Message: "a start would " + does + said.What, Try: said.Try})
		}
	}
}

// judgeRefusal says why a start would be refused, in short if another check says it already.
func (r *run) judgeRefusal(ctx context.Context, p *part, state *cdc.State, err error) {
	if !refused(err) {
		if !r.parts[partPostgres].any(failed) && !r.parts[partKafka].any(failed) { // else it is said there
			p.error("pipeline-start", r.where(partPipeline), err)
		}
		return
	}
	if r.said(err) {
		p.fail("pipeline-start", r.where(partPipeline), "", "a start would be refused, for what is said above")
		return
	}
	said := explain(err)
	slot, found, slotErr := r.trial.Source.Slot(ctx)
	if slotErr == nil && wants(state, slot, found, err) {
		r.note(func(l *combined) { l.refusal = err })
		p.fail("pipeline-start", r.where(partPipeline), "", "a start would be refused, for what is said of the slot above")
		return
	}
	if first := state.Source.Phase == cdc.PhaseNone; slotErr == nil && found && first {
		if r.foreign(ctx, slot) {
			said.Try = remedy("", setting("source", "slot", r.config.Source.Slot+"_2"))
		}
		if slot.Active {
			said.What += " (it is in use)"
		}
	}
	said.What = "a start would be refused: " + said.What
	p.add(Check{Slug: "pipeline-start", Level: LevelError, Subject: r.where(partPipeline), Message: said.What, Try: said.Try})
}

// foreign reports whether the slot cannot be ours. A slot that could be ours may be all that is left of a pipeline
// whose state is lost: with another slot, and so another state, the tables in ClickHouse would never change again.
func (r *run) foreign(ctx context.Context, slot cdc.SlotStatus) bool {
	if slot.Plugin != "pgoutput" {
		return true
	}
	identity, err := r.trial.Source.Identify(ctx)
	return err == nil && slot.Database != identity.Database
}

// said reports whether a failed check is about a part of the error, or has its way out.
func (r *run) said(err error) (said bool) {
	<-r.listed
	what := map[string]bool{}
	for cause := range causes(err) {
		what[explain(cause).What] = true
	}
	for _, name := range []string{partConfig, partPostgres} {
		r.parts[name].any(func(c Check) bool {
			if failed(c) && (c.about != nil && what[explain(c.about).What] || fixes(c.Command, err)) {
				said = true
				if c.Slug == namesSlug {
					r.note(func(l *combined) { l.misnamed = true })
				}
			}
			return false
		})
	}
	return said
}

// fixes reports whether a printed statement is the error's own way out, quotes aside.
func fixes(command string, err error) bool {
	plain := func(sql string) string { return strings.TrimSuffix(strings.ReplaceAll(sql, `"`, ""), ";") }
	return kind(command) == "sql" && plain(command) == plain(firstWay(explain(err)))
}

// judgeUnmatchedNames warns of names in the config that match nothing, if a start goes on without them: as soon as a
// state is stored, unless a captured table has lost its name at the same time.
func (r *run) judgeUnmatchedNames() {
	goesOn := false
	r.note(func(l *combined) { goesOn = l.known && begun(l.phase) && l.phase != cdc.PhaseRenewing && !l.misnamed })
	if !goesOn {
		return
	}
	p := r.parts[partConfig]
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.checks {
		if c := &p.checks[i]; c.Slug == namesSlug && c.Level == LevelError {
			c.Level, c.OK = LevelWarning, true
			c.Message += "; a start goes on without it"
		}
	}
}

// judgeHashKey: a missing key is made by the first start only.
func (r *run) judgeHashKey(p *part, state *cdc.State) {
	const slug = "pipeline-hash-key"
	c := r.config
	file := c.HashKeyFile()
	switch {
	case !c.Privacy.Hashes():
	case r.trial.Keyless && len(state.Source.HashKeys) > 0:
		p.fail(slug, file, "scp CAPTURE_HOST:"+console.Shell(file)+" "+console.Shell(file),
			"the topics were written with a hash key that is not here: another one would change every hash. Copy the file from where capture runs")
	case r.trial.Keyless:
		p.ok(slug, file, "it is not there; the first start makes it")
	case len(c.Privacy.Hash.Keys) > 0:
		p.ok(slug, "privacy.hash.keys", "it is there")
	default:
		p.ok(slug, file, "it is there")
	}
}

const slotSlug = "postgres-slot"

// checkSlot checks whether the slot is ours; the start's own checks say whether it fits the stored state.
func (r *run) checkSlot(ctx context.Context, p *part, s *server) {
	slot, found, err := r.trial.Source.Slot(ctx)
	name := r.config.Source.Slot
	switch {
	case err != nil:
		p.error(slotSlug, name, serverError(err))
	case !found:
		r.note(func(l *combined) { l.slotMissing = true }) // what that means, the stored state says
	case lost(slot):
		r.note(func(l *combined) { l.slotLost, l.lostBy = true, slot.Invalidation })
	case slot.WALStatus == "unreserved":
		p.warn(slotSlug, name, keepSQL(max(s.proposedMB(), 2*s.KeepMB)),
			"it holds more than max_slot_wal_keep_size and is lost at the next checkpoint. Start capture, and give it more")
	case slot.Database != s.Database:
		p.warn(slotSlug, name, "another name in source.slot", "it belongs to database %s, not %s", slot.Database, s.Database)
	case slot.Active:
		p.ok(slotSlug, name, "a capture reads it, up to %s", slot.ConfirmedFlush)
	default:
		p.ok(slotSlug, name, "it is there, at %s, and no capture reads it", slot.ConfirmedFlush)
	}
}

// combined holds the findings that need answers of several parts.
type combined struct {
	// slotMissing and slotLost are what Postgres says: there is none, or one whose log is gone.
	slotMissing, slotLost bool
	lostBy                string // why Postgres has invalidated it, if it says so
	// known says that the stored state could be read; phase is its own.
	known bool
	phase cdc.Phase
	// refusal is why a start would be refused for its slot; passed says that no start check refuses.
	refusal error
	passed  bool
	// misnamed says that a start would be refused for a name in the config that matches nothing.
	misnamed bool
}

// note changes the combined findings, or reads them.
func (r *run) note(at func(*combined)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at(&r.combined)
}

// begun reports whether a state is stored that goes on from a slot: without it changes are missing.
func begun(phase cdc.Phase) bool { return phase != cdc.PhaseNone && phase != cdc.PhaseCreating }

// wants reports whether a start is refused because its slot is missing or lost.
func wants(state *cdc.State, slot cdc.SlotStatus, found bool, err error) bool {
	return errors.Is(err, capture.ErrSlotMissing) && (!found && begun(state.Source.Phase) || found && lost(slot))
}

func lost(slot cdc.SlotStatus) bool { return slot.WALStatus == "lost" || slot.Invalidation != "" }

// judgeMissingSlot says what a missing or unusable slot means, once all parts have been checked.
func (r *run) judgeMissingSlot(p *part) {
	name := r.config.Source.Slot
	r.note(func(l *combined) {
		switch {
		case l.refusal != nil:
			p.error(slotSlug, name, l.refusal)
		case l.slotLost:
			p.fail(slotSlug, name, cdc.LostSlotCommand(l.lostBy)+"; if the slot is another pipeline's, name another in source.slot",
				"Postgres has given up its log, so that changes are missing")
		case !l.slotMissing:
		case l.passed && begun(l.phase):
			p.ok(slotSlug, name, "it was made while this was checked")
		case !l.known:
			p.ok(slotSlug, name, "it is not there. A first start makes it; whether this would be one, the stored state says, which could not be read")
		case begun(l.phase):
			p.fail(slotSlug, name, cdc.ResnapshotAllCommand,
				"it is gone, and the stored state (phase %s) goes on from it: what was changed since then cannot be read any more", l.phase)
		default:
			p.ok(slotSlug, name, "it is not there; dirtbike makes it at the first start")
		}
	})
}
