package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

const gib = 1 << 30

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestSlotIsJudgedBeforeTheDiskIsFull(t *testing.T) {
	healthy := slotFacts{found: true, walStatus: "reserved", keep: 10 * gib, safe: 9 * gib, retained: gib}
	for name, c := range map[string]struct {
		change func(*slotFacts)
		disk   int64
		anHour int64 // by how many bytes it grows
		over   time.Duration
		want   string
	}{
		"healthy":          {change: func(*slotFacts) {}},
		"missing":          {change: func(f *slotFacts) { f.found = false }, want: "does not exist"},
		"lost":             {change: func(f *slotFacts) { f.walStatus = "lost" }, want: "changes are lost"},
		"unreserved":       {change: func(f *slotFacts) { f.walStatus = "unreserved" }, want: "next checkpoint"},
		"nearly":           {change: func(f *slotFacts) { f.safe = gib }, anHour: gib, over: time.Hour, want: "slot s is lost after another 1.0 GiB of log in 60 minutes"},
		"nearly, standing": {change: func(f *slotFacts) { f.safe = gib }, want: "slot s is lost after another 1.0 GiB of log"},
		"soon":             {change: func(*slotFacts) {}, anHour: 3 * gib, over: time.Minute, want: "slot s retains 1.0 GiB of log and is lost in 3.0 hours at the present rate"},
		"later":            {change: func(*slotFacts) {}, anHour: 2 * gib, over: time.Minute},
		"for a moment":     {change: func(*slotFacts) {}, anHour: 3 * gib, over: 2 * time.Second},
		"no limit":         {change: func(f *slotFacts) { f.keep, f.safe, f.retained = -1, -1, 33*gib }, want: "Postgres has no limit"},
		"no limit yet":     {change: func(f *slotFacts) { f.keep, f.safe = -1, -1 }, anHour: gib, over: time.Hour},
		"disk":             {change: func(f *slotFacts) { f.keep, f.safe = -1, -1 }, disk: 10 * gib, anHour: 3 * gib, over: time.Hour, want: "fills the disk (source.wal_disk) in 3.0 hours"},
		"disk, nearly":     {change: func(f *slotFacts) { f.retained = 9 * gib }, disk: 10 * gib, want: "slot s fills the disk (source.wal_disk) after another 1.0 GiB"},
		"disk, over":       {change: func(f *slotFacts) { f.retained = 11 * gib }, disk: 10 * gib, want: "slot s fills the disk (source.wal_disk) after another 0 B"},
		"disk is larger":   {change: func(*slotFacts) {}, disk: 100 * gib, anHour: 3 * gib, over: time.Hour, want: "is lost in 3.0 hours"},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy
			c.change(&f)
			p := f.judge("s", forecast{f.headroom(c.disk), slope(0, int64(float64(c.anHour)*c.over.Hours()), c.over)})
			if c.want == "" {
				require.Nil(t, p)
				return
			}
			require.Contains(t, p.What, c.want)
			require.Len(t, p.Try, 1)
			for _, way := range strings.Split(strings.TrimPrefix(p.Try[0].Command, "see which other check fails, and "), ", or ") {
				fixed, disk := f, c.disk
				fixed.apply(t, &disk, way)
				next := fixed.judge("s", forecast{fixed.headroom(disk), pace{}})
				if next != nil { // the limit that is reached next
					_, way, _ = strings.Cut(next.Try[0].Command, ", and ")
					fixed.apply(t, &disk, way)
				}
				require.Nil(t, fixed.judge("s", forecast{fixed.headroom(disk), pace{}}), way)
			}
		})
	}
}

// apply does what a way out says; the rate is another matter.
func (f *slotFacts) apply(t *testing.T, disk *int64, way string) {
	t.Helper()
	var mib int64
	switch n, _ := fmt.Sscanf(way, "ALTER SYSTEM SET max_slot_wal_keep_size = '%dMB'; SELECT pg_reload_conf();", &mib); {
	case n == 1:
		f.keep, f.walStatus = mib<<20, "extended"
	case way == "raise max_slot_wal_keep_size", way == "set max_slot_wal_keep_size":
		f.keep = 10 * f.retained
	case strings.HasPrefix(way, "give Postgres' disk more room (then raise source.wal_disk)"), way == "source.wal_disk":
		*disk = 100 * f.retained
	case strings.HasPrefix(way, "dirtbike run, which creates it"), strings.HasSuffix(way, cdc.ResnapshotAllCommand): // from a new slot
		f.found, f.walStatus, f.retained = true, "reserved", 0
	default:
		require.Fail(t, "nothing does what it says", "%q", way)
	}
	if f.safe >= 0 || f.keep >= 0 {
		f.safe = f.keep - f.retained
	}
}

func TestRoomInWords(t *testing.T) {
	f := slotFacts{found: true, walStatus: "reserved", keep: 10 * gib, safe: 9 * gib, retained: gib}
	says := func(perSecond float64, known bool) string {
		return Status{}.withHeadroom(forecast{f.headroom(0), pace{perSecond: perSecond, known: known}}).headroomText()
	}
	require.Equal(t, " · 9.0 GiB below max_slot_wal_keep_size", says(0, false))
	require.Equal(t, " · 9.0 GiB below max_slot_wal_keep_size", says(0, true))
	require.Equal(t, " · 9.0 GiB below max_slot_wal_keep_size", says(100, true), "years")
	require.Equal(t, " · 9.0 hours until max_slot_wal_keep_size", says(gib/3600, true))
	require.Equal(t, " · 9 seconds until max_slot_wal_keep_size", says(gib, true))
	require.Empty(t, Status{}.withHeadroom(forecast{}).headroomText())
	require.Empty(t, forecast{}.timeLeftText())
	require.Equal(t, "; max_slot_wal_keep_size is reached in 9.0 hours", forecast{f.headroom(0), pace{perSecond: gib / 3600, known: true}}.timeLeftText())
	for d, want := range map[time.Duration]string{
		59 * time.Second: "59 seconds", 90 * time.Minute: "90 minutes", 101 * time.Minute: "1.7 hours", 99 * time.Hour: "99.0 hours", 240 * time.Hour: "10 days",
	} {
		require.Equal(t, want, hours(d))
	}
	require.NotNil(t, slotFacts{name: "s", found: true}.problem(string(cdc.PhaseStreaming), 1))
	s := Status{capture: cdc.Failed("no capture is running"), WALLimit: "source.wal_disk", WALLeftBytes: new(int64), WALLeftHours: new(float64)}
	*s.WALLeftHours = 12.3
	require.Equal(t, "no capture is running · ClickHouse is not complete up to anything yet · 12.3 hours until source.wal_disk", s.headline())
}

// server is looked at: it writes a megabyte of log a second.
type server struct{ growth }

// at adds a sample of a second: where the slot restarts, and up to where capture has confirmed, in megabytes.
func (l *server) at(second int, restart, confirmed int64, active bool) pace {
	const mb = 1_000_000
	now := int64(second) * mb
	l.add(slotFacts{
		at: noon.Add(time.Duration(second) * time.Second), current: now, found: true, active: active,
		retained: now - restart*mb, unconfirmed: now - confirmed*mb,
	})
	return l.pace(written{})
}

func TestPaceOfASlotThatStandsStill(t *testing.T) {
	var g server
	require.False(t, g.at(1000, 900, 950, false).known, "one sample has no rate")
	require.False(t, g.at(1000, 900, 950, false).known, "nor have two at once")
	require.Equal(t, pace{1e6, true, 2 * time.Second}, g.at(1002, 900, 950, false), "nobody reads")
	require.Equal(t, pace{1e6, true, 10 * time.Minute}, g.at(1600, 900, 950, false))
	require.Equal(t, pace{1e6, true, 599 * time.Second}, g.at(1601, 900, 950, false), "samples that are older than the window are forgotten")
	g.add(slotFacts{at: noon.Add(2000 * time.Second), current: 5, found: true})
	require.False(t, g.pace(written{}).known, "another server")
	g.add(slotFacts{})
	require.Empty(t, g.samples, "the slot is gone")
}

func TestPaceOfASlotThatIsFollowed(t *testing.T) {
	var g server
	for second := 1000; second <= 1600; second += 2 { // it moves every 15 seconds, as Postgres logs its running transactions
		p := g.at(second, int64(second/15*15-20), int64(second-1), true)
		require.Zero(t, p.perSecond, "at %d", second)
	}
	require.True(t, g.pace(written{}).known)
	var slow server
	for second := 1000; second <= 1600; second += 2 { // confirmed at half the speed
		slow.at(second, int64(900+(second-1000)/30*15), int64(920+(second-1000)/2), true)
	}
	require.InDelta(t, 5e5, slow.pace(written{}).perSecond, 3e4)
}

func TestPaceOfASlotThatIsHeld(t *testing.T) {
	var g server
	g.at(1000, 990, 999, true)
	require.Equal(t, pace{0, true, 2 * time.Second}, g.at(1002, 990, 1001, true), "capture follows, and the slot will")
	require.InDelta(t, 1e6, g.at(1061, 990, 1060, true).perSecond, 1, "a transaction stays open")
	var once server
	once.at(1000, 700, 999, true)
	require.InDelta(t, 1e6, once.at(1002, 700, 1001, true).perSecond, 1, "for minutes, as its distance says")
	var stuck server
	stuck.at(1000, 990, 995, true)
	require.InDelta(t, 1e6, stuck.at(1002, 990, 995, true).perSecond, 1, "capture is connected and confirms nothing")
}

// TestPaceOfADeadPipeline: what was written since its last commit says more than two samples.
func TestPaceOfADeadPipeline(t *testing.T) {
	var g server
	g.at(1000, 900, 950, false)
	require.Equal(t, pace{2000, true, time.Hour}, g.pace(written{2000 * 3600, time.Hour}), "at the first sample")
	require.False(t, g.pace(written{2000, time.Second}).known, "too short")
	g.at(1002, 900, 950, false)
	require.Equal(t, pace{2000, true, time.Hour}, g.pace(written{2000 * 3600, time.Hour}))
	require.InDelta(t, 1e6, g.at(1100, 900, 950, false).perSecond, 1, "its own samples, once they reach back far enough")
}
