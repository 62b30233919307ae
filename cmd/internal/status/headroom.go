package status

import (
	"fmt"
	"time"

	"dirtbike/cdc"
)

const (
	// hoursAhead is how long before the limit is reached, at the present rate, the check slot fails.
	hoursAhead = 4 * time.Hour
	// leastRoom is the part of the limit that must be left, at any rate.
	leastRoom = 0.2
	// leastKeep is the least limit that is advised, in MiB: a few segments of the log.
	leastKeep = 64
	// uncapped is how much log the slot may retain where no limit is set.
	uncapped = 32 << 30
	// never is a time so long that it is not shown: such slow growth is noise.
	never = 10_000 * time.Hour
)

// headroom is how much more log Postgres can keep for the slot before it is lost or the disk is full.
type headroom struct {
	// limit is the setting that is reached first: max_slot_wal_keep_size or source.wal_disk; "" if neither is set.
	limit string
	// size is the limit and left what of it is not used, in bytes.
	size, left int64
}

// headroom computes the slot's headroom; disk is source.wal_disk, 0 if it is not set.
func (f slotFacts) headroom(disk int64) headroom {
	var r headroom
	if !f.found || f.walStatus == "lost" {
		return r
	}
	if f.keep >= 0 && f.safe >= 0 {
		r = headroom{"max_slot_wal_keep_size", f.keep, f.safe}
	}
	if left := max(0, disk-f.retained); disk > 0 && (r.limit == "" || left < r.left) {
		r = headroom{"source.wal_disk", disk, left}
	}
	return r
}

// pace is how fast the retained log grows.
type pace struct {
	// perSecond is in bytes, never negative; meaningless unless known.
	perSecond float64
	known     bool
	// over is how long that was measured.
	over time.Duration
}

// forecast is a headroom and how fast it is used up.
type forecast struct {
	headroom
	pace
}

// until is when the headroom is used up; ok is false if there is no limit, the rate is not known, or nothing grows.
func (f forecast) until() (left time.Duration, ok bool) {
	if f.limit == "" || !f.known || f.perSecond <= 0 {
		return 0, false
	}
	seconds := float64(f.left) / f.perSecond
	if seconds > never.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// inTime gives the time left with a prefix, as a part of a sentence; "" if it is not known.
func (f forecast) inTime(begin string) string {
	if left, ok := f.until(); ok {
		return begin + " in " + hours(left)
	}
	return ""
}

// timeLeftText says in how long the limit is reached, to be added to a sentence; "" if that is not known.
func (f forecast) timeLeftText() string { return f.inTime("; " + f.limit + " is reached") }

// hours writes a time in the unit in which people count it.
func hours(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f seconds", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	case d < 100*time.Hour:
		return fmt.Sprintf("%.1f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// judge says whether the slot is in danger, while there is time to act; nil if it is not.
func (f slotFacts) judge(slot string, fc forecast) *cdc.Problem {
	const first = "see which other check fails, and "
	left, growing := fc.until()
	raise, ends := first+"raise max_slot_wal_keep_size", "is lost"
	if fc.limit == "source.wal_disk" {
		raise, ends = first+"give Postgres' disk more room (then raise source.wal_disk)", "fills the disk (source.wal_disk)"
	}
	switch {
	case !f.found && f.connected:
		return cdc.Failed("slot %s does not exist yet: capture is starting", slot).Fix("dirtbike status, which says how far it is")
	case !f.found:
		return cdc.Failed("slot %s does not exist: changes from now on would be missed", slot).
			Fix("dirtbike run, which creates it at a first start and otherwise says what is lost")
	case f.walStatus == "lost":
		return cdc.Failed("Postgres has invalidated slot %s: changes are lost", slot).Fix("%s", cdc.LostSlotCommand(f.lostBy))
	case f.walStatus == "unreserved":
		return cdc.Failed("slot %s holds more than max_slot_wal_keep_size and is lost at the next checkpoint", slot).
			Fix("ALTER SYSTEM SET max_slot_wal_keep_size = '%dMB'; SELECT pg_reload_conf(); and see which other check fails", max(f.retained>>19, leastKeep))
	case fc.limit == "" && f.retained > uncapped:
		return cdc.Failed("slot %s retains %s of log and Postgres has no limit: its disk fills up", slot, size(f.retained)).
			Fix(first + "set max_slot_wal_keep_size, or source.wal_disk")
	case fc.limit == "":
		return nil
	case float64(fc.left) < leastRoom*float64(fc.size):
		return cdc.Failed("slot %s %s after another %s of log%s", slot, ends, size(fc.left), fc.inTime("")).Fix("%s", raise)
	case growing && left < hoursAhead && fc.over >= standstill: // a moment's rate is no reason to wake a person
		return cdc.Failed("slot %s retains %s of log and %s%s at the present rate", slot, size(f.retained), ends, fc.inTime("")).Fix("%s", raise)
	}
	return nil
}

const (
	// growthWindow is over how long the rate is measured.
	growthWindow = 10 * time.Minute
	// standstill is how long a slot must stay in place to count as not moving. A slot that is read moves about every 15
	// seconds, when Postgres logs its running transactions; until then the retained log grows in every pipeline.
	standstill = time.Minute
	// leastInterval is the shortest time between two samples that gives a rate.
	leastInterval = time.Second
)

// growth measures how fast the retained log grows. For a slot that does not move Postgres retains everything that is
// written; the retained log of a slot that is read goes up and down.
type growth struct {
	samples []slotFacts // ascending in time, not older than growthWindow
}

// add adds what was just read.
func (g *growth) add(now slotFacts) {
	if n := len(g.samples); n > 0 && (now.current < g.samples[n-1].current || !now.found) {
		g.samples = g.samples[:0] // another server, one that was restored, or a slot that is gone
	}
	if n := len(g.samples); !now.found || n > 0 && now.at.Sub(g.samples[n-1].at) < leastInterval {
		return
	}
	for len(g.samples) > 1 && now.at.Sub(g.samples[0].at) > growthWindow {
		g.samples = g.samples[1:]
	}
	g.samples = append(g.samples, now)
}

// written is how fast Postgres writes its log, from another measurement over a longer time; the zero value is none.
type written struct {
	bytes int64
	over  time.Duration
}

// pace is the rate from the samples; before counts as long as they do not reach back further than standstill.
func (g *growth) pace(before written) pace {
	if len(g.samples) == 0 {
		return pace{}
	}
	last := g.samples[len(g.samples)-1]
	troughs := g.troughs()
	from := g.samples[0] // since when the slot has not moved
	if len(troughs) > 0 {
		from = troughs[len(troughs)-1]
	}
	if over := last.at.Sub(from.at); over >= standstill {
		return slope(from.current, last.current, over)
	}
	if n := len(troughs); n > 1 && troughs[n-1].at.Sub(troughs[0].at) >= standstill {
		return slope(troughs[0].retained, troughs[n-1].retained, troughs[n-1].at.Sub(troughs[0].at))
	}
	return g.shortly(len(troughs) > 0, before)
}

// troughs are the samples that first saw the slot in a new place: between two of them the retained log rises and falls.
func (g *growth) troughs() (all []slotFacts) {
	for i := 1; i < len(g.samples); i++ {
		if g.samples[i].restart() != g.samples[i-1].restart() {
			all = append(all, g.samples[i])
		}
	}
	return all
}

// shortly is the pace from samples that do not reach back further than standstill.
func (g *growth) shortly(moved bool, before written) pace {
	first, last := g.samples[0], g.samples[len(g.samples)-1]
	elapsed := last.at.Sub(first.at)
	write, longBefore := slope(first.current, last.current, elapsed), before.over >= standstill
	if longBefore {
		write = slope(0, before.bytes, before.over)
	}
	switch {
	case moved:
		return pace{known: true, over: elapsed}
	case !first.active && !last.active && longBefore:
		return write
	case elapsed < leastInterval:
		return pace{}
	case !last.active, last.blockedByOpenTransaction(write.perSecond):
		return write
	}
	return slope(first.unconfirmed, last.unconfirmed, elapsed)
}

// slope is a rise over a time; a fall counts as 0.
func slope(from, to int64, over time.Duration) pace {
	if over <= 0 {
		return pace{}
	}
	return pace{perSecond: max(0, float64(to-from)/over.Seconds()), known: true, over: over}
}

// restart is where decoding would begin again.
func (f slotFacts) restart() int64 { return f.current - f.retained }

// blockedByOpenTransaction reports whether capture has confirmed much more than the slot has released: more than is
// written at this rate until a slot that can move does so. A transaction that stays open in Postgres is the cause.
func (f slotFacts) blockedByOpenTransaction(perSecond float64) bool {
	const segments = 4 * 16 << 20 // that much may be between any two positions
	return float64(f.retained-f.unconfirmed) > perSecond*standstill.Seconds()+segments
}
