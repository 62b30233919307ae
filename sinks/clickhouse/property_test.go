package clickhouse

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the property test with this seed only")
	runsFlag = flag.Int("runs", 3, "how many seeds the property test runs")
)

// TestEqualThroughFailures plays random logs to loaders that are given up at random points, alone and in twos, and that
// lose their offsets: at every moment the views hold at least what complete_up_to claims, and in the end they equal the
// source. The log of a seed is always the same; when loaders end within it depends on time, too.
func TestEqualThroughFailures(t *testing.T) {
	if *seedFlag != 0 {
		equalThroughFailures(t, *seedFlag)
		return
	}
	base := uint64(time.Now().UnixNano())
	for i := range uint64(*runsFlag) {
		if equalThroughFailures(t, base+i); t.Failed() {
			return
		}
	}
}

func equalThroughFailures(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("run again with -run %s -seed %d", t.Name(), seed)
		}
	}()
	w := newWorld(t)
	s := newSource(w, rand.New(rand.NewPCG(seed, 1)))
	c := newCrew(s, rand.New(rand.NewPCG(seed, 2)))
	defer c.end()
	s.copy(s.tables...)
	for range 60 {
		s.step()
		if c.rng.IntN(12) == 0 {
			c.forgetOffsets()
		}
	}
	s.finish()
	c.calmDown()
	if !t.Failed() && !assert.Eventually(t, func() bool { return t.Failed() || s.settled() }, 40*time.Second, 50*time.Millisecond, "not everything becomes complete and exact") {
		s.tell(t)
		c.tell(t)
		return
	}
	if t.Failed() {
		return
	}
	if !s.lossy {
		require.Empty(t, w.query("SELECT `table`, reason FROM "+w.rawTable("quarantine")+" WHERE leg = 'load'"), "nothing was lost, so nothing may be quarantined")
	}
	want := s.history[len(s.history)-1]
	for i, tab := range s.tables {
		got, err := s.view(tab)
		require.NoError(t, err)
		require.Equal(t, want.rows[i], got, tab.rel.Name)
	}
	t.Logf("seed %d: %d changes, %d observations, %d loaders", seed, len(s.history), c.observations.Load(), c.started.Load())
}

func (w *world) rawTable(name string) string {
	return schemas.ClickHouseIdent(w.database+"_raw") + "." + schemas.ClickHouseIdent(name)
}

func (s *source) completes() []ledger.Complete {
	rows, err := ledger.New(s.conn, s.database).Complete(s.ctx)
	if err != nil {
		return nil
	}
	return rows
}

// tell logs what ClickHouse has.
func (s *source) tell(t *testing.T) {
	for _, sql := range []string{
		"SELECT * FROM DB.complete_up_to", "SELECT * FROM " + s.rawTable("shown"), "SELECT * FROM " + s.rawTable("quarantine") + " FINAL",
		"SELECT topic, partition, max(next) FROM " + s.rawTable("applied") + " GROUP BY ALL ORDER BY ALL",
		"SELECT topic, generation, kind, count() FROM " + s.rawTable("generations") + " FINAL GROUP BY ALL ORDER BY ALL",
	} {
		lines, err := s.tryQuery(sql)
		t.Logf("%s: %v\n%s", sql, err, strings.Join(lines, "\n"))
	}
	t.Logf("wanted: %s, offsets %v", s.lsn+commitSize, s.offsets)
}

// settled says that every table is exact up to the log's end.
func (s *source) settled() bool {
	rows := s.completes()
	for _, r := range rows {
		if !r.Exact || r.LSN < s.lsn+commitSize {
			return false
		}
	}
	return len(rows) == len(s.tables)+1
}

func (s *source) view(t *modelTable) (map[int]string, error) {
	lines, err := s.tryQuery("SELECT id, n, doc FROM DB." + t.rel.Name)
	rows := map[int]string{}
	for _, l := range lines {
		key, rest, _ := strings.Cut(l, "\t")
		k, _ := strconv.Atoi(key)
		if _, twice := rows[k]; twice {
			return nil, fmt.Errorf("table %s shows key %d twice", t.rel.Name, k)
		}
		rows[k] = rest
	}
	return rows, err
}

// observe compares what complete_up_to claims with what the views show after it. A claim of exactness holds until a new
// generation is opened.
func (s *source) observe(t *testing.T) {
	opened := s.opened()
	claims := s.completes()
	var all ledger.Complete
	for _, c := range claims {
		if c.Table == "" {
			all = c
		}
	}
	for i, tab := range s.tables {
		for _, c := range claims {
			if c.Table != tab.rel.FullName() {
				continue
			}
			if all.Exact {
				c.LSN, c.Exact = max(c.LSN, all.LSN), true
			}
			if c.Exact {
				s.holds(t, i, c.LSN, opened)
			}
		}
	}
}

// opened gives the newest generation of each topic.
func (s *source) opened() string {
	lines, err := s.tryQuery("SELECT topic, max(generation) FROM " + s.rawTable("generations") + " GROUP BY topic ORDER BY topic")
	return fmt.Sprint(lines, err)
}

// holds checks that the view of a table shows for each key what it held at the claimed LSN or later, if no generation
// was opened since the claim.
func (s *source) holds(t *testing.T, index int, claimed cdc.LSN, opened string) {
	tab := s.tables[index]
	got, err := s.view(tab)
	again := func() bool { // a storage table was dropped under a query that had begun, or the embedded server is being started again
		got, err = s.view(tab)
		return err == nil || s.ctx.Err() != nil
	}
	if err != nil && !assert.Eventually(t, again, 20*time.Second, 20*time.Millisecond, "the view of %s, claimed up to %s: %v", tab.rel.Name, claimed, &err) || s.ctx.Err() != nil {
		return
	}
	if s.opened() != opened {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range modelKeys {
		fits := false
		var since []string
		for i, m := range s.history {
			if i+1 < len(s.history) && s.history[i+1].lsn <= claimed {
				continue
			}
			fits = fits || m.rows[index][key] == got[key]
			since = append(since, m.lsn.String()+" "+m.rows[index][key])
		}
		assert.True(t, fits, "table %s is claimed up to %s, key %d shows %q, it held since: %q", tab.rel.Name, claimed, key, got[key], since)
	}
}

// crew runs loaders, one or two at a time, and gives them up at random; and it observes.
type crew struct {
	s            *source
	rng          *rand.Rand // of the test's goroutine
	stop         context.CancelFunc
	ctx          context.Context
	running      sync.WaitGroup
	hands        sync.RWMutex // held for writing while the offsets are forgotten
	calm         atomic.Bool  // no more failures
	loaders      sync.Map     // those that run
	observations atomic.Int64
	started      atomic.Int64
}

func newCrew(s *source, rng *rand.Rand) *crew {
	c := &crew{s: s, rng: rng}
	c.ctx, c.stop = context.WithCancel(s.ctx)
	t := s.t.(*testing.T)
	for range 2 {
		own := rand.New(rand.NewPCG(rng.Uint64(), 3))
		c.running.Go(func() {
			for c.ctx.Err() == nil && !t.Failed() {
				c.life(t, own)
			}
		})
	}
	c.running.Go(func() {
		for c.ctx.Err() == nil && !t.Failed() {
			s.observe(t)
			c.observations.Add(1)
		}
	})
	return c
}

func (c *crew) end() {
	c.stop()
	c.running.Wait()
}

// calmDown ends the failures; the loaders that run now may have small batches and give way to others.
func (c *crew) calmDown() {
	c.calm.Store(true)
	c.loaders.Range(func(_, cancel any) bool {
		cancel.(context.CancelFunc)()
		return true
	})
}

// tell logs what the loaders are doing.
func (c *crew) tell(t *testing.T) {
	c.loaders.Range(func(l, _ any) bool {
		t.Logf("loader: %q", l.(*Loader).LastError())
		return true
	})
}

// life is one loader from its start until it is given up: at one of its fault points, or at any time.
func (c *crew) life(t *testing.T, rng *rand.Rand) {
	c.hands.RLock()
	defer c.hands.RUnlock()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	o := c.s.options()
	o.Log = nil
	if !c.calm.Load() {
		o.BatchRows = 4 + rng.IntN(60)
		o.FlushInterval = time.Duration(1+rng.IntN(30)) * time.Millisecond
	}
	left := atomic.Int64{}
	left.Store(int64(1 + rng.IntN(60)))
	o.Fault = func(string) {
		if left.Add(-1) <= 0 && !c.calm.Load() {
			cancel()
		}
	}
	timer := time.AfterFunc(time.Duration(rng.IntN(3000))*time.Millisecond, func() {
		if !c.calm.Load() {
			cancel()
		}
	})
	defer timer.Stop()
	c.started.Add(1)
	l, err := New(o)
	if assert.NoError(t, err) {
		c.loaders.Store(l, cancel)
		defer c.loaders.Delete(l)
		assert.NoError(t, l.Run(ctx))
	}
}

// forgetOffsets lets all loaders end and takes the applied offsets away: everything is loaded again.
func (c *crew) forgetOffsets() {
	c.hands.Lock()
	defer c.hands.Unlock()
	_ = c.s.conn.Exec(c.s.ctx, "TRUNCATE TABLE IF EXISTS "+c.s.rawTable("applied")) // the database may not be there yet
}
