package complete

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// rig is a tracker with everything around it: what this loader has, what ClickHouse says and what Kafka says.
type rig struct {
	*testing.T
	tracker  *Tracker
	own      map[partition]int64
	excluded map[string]bool
	applied  []ledger.Applied
	opens    []ledger.Mark
	ids      map[string]uuid.UUID
	ends     map[string]TopicEnds
	points   []ledger.Point // written
	asked    map[string]int
	offset   int64
	failing  error
}

func newRig(t *testing.T, points ...ledger.Point) *rig {
	t.Helper()
	r := &rig{T: t, own: map[partition]int64{}, excluded: map[string]bool{}, ids: map[string]uuid.UUID{}, ends: map[string]TopicEnds{}, asked: map[string]int{}}
	r.tracker = NewTracker(r, points)
	return r
}

func (r *rig) AppliedHere(topic string, id int32) (int64, bool) {
	next, ok := r.own[partition{topic, id}]
	return next, ok
}

func (r *rig) TopicOf(table string) string {
	schema, name, _ := strings.Cut(table, ".")
	return schemas.TopicName("p", schema, name)
}

func (r *rig) Excluded(table string) bool { return r.excluded[table] }

func (r *rig) TopicIDs(_ context.Context, topics []string) (map[string]uuid.UUID, map[string]bool, error) {
	r.asked["ids"]++
	ids, missing := map[string]uuid.UUID{}, map[string]bool{}
	for _, topic := range topics {
		if id, ok := r.ids[topic]; ok {
			ids[topic] = id
		} else {
			missing[topic] = true
		}
	}
	return ids, missing, r.failing
}

func (r *rig) Applied(_ context.Context, topics []string) (list []ledger.Applied, err error) {
	r.asked["applied"]++
	for _, row := range r.applied {
		for _, topic := range topics {
			if row.Topic == topic {
				list = append(list, row)
			}
		}
	}
	return list, nil
}

func (r *rig) Opens(context.Context, []string) ([]ledger.Mark, error) { return r.opens, nil }

func (r *rig) Ends(context.Context, []string) (map[string]TopicEnds, error) { return r.ends, nil }

func (r *rig) WritePoints(_ context.Context, points []ledger.Point) error {
	r.points = append(r.points, points...)
	return nil
}

// take takes a record that ends at an LSN, with offsets by "table/partition".
func (r *rig) take(lsn cdc.LSN, full bool, offsets map[string]int64, tables map[string]cdc.TableProgress) []ledger.Quarantine {
	r.Helper()
	rec := &Record{Progress: cdc.Progress{Format: cdc.StateFormat, Epoch: 1, Full: full, Tables: tables, CommitLSN: lsn, LSN: lsn, Offsets: map[string]map[string]int64{}}}
	for at, next := range offsets {
		table, id, _ := strings.Cut(at, "/")
		topic := "p.public." + table
		if rec.Offsets[topic] == nil {
			rec.Offsets[topic] = map[string]int64{}
		}
		rec.Offsets[topic][id] = next
	}
	require.NoError(r, rec.fill("p"))
	states := r.tracker.Take(r.offset, rec)
	r.offset++
	return states
}

// advance lets some time go by first, so that nothing is left out because it was asked a moment ago.
func (r *rig) advance() {
	r.Helper()
	<-time.After(2 * checkInterval)
	r.tracker.Release(r.offset)
	require.NoError(r, r.tracker.Advance(r.Context()))
}

// says is the last LSN written of each table.
func (r *rig) says() map[string]cdc.LSN {
	out := map[string]cdc.LSN{}
	for _, p := range r.points {
		out[p.Table] = p.LSN
	}
	return out
}

// TestCompleteUpTo: what may be said, given records, own applied offsets and those of other loaders.
func TestCompleteUpTo(t *testing.T) {
	former, now := uuid.New(), uuid.New()
	for name, c := range map[string]struct {
		prepare func(*rig)
		says    map[string]cdc.LSN
		pending int
	}{
		"nothing is applied": {func(r *rig) {
			r.own[partition{"p.public.a", 0}] = 0
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"own partitions have reached the offsets": {func(r *rig) {
			r.own[partition{"p.public.a", 0}], r.ids["p.public.a"] = 0, now
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
			r.own[partition{"p.public.a", 0}] = 5
		}, map[string]cdc.LSN{"": 10, "public.a": 10}, 0},
		"one partition is one record late": {func(r *rig) {
			r.own[partition{"p.public.a", 0}], r.own[partition{"p.public.a", 1}] = 0, 0
			r.take(10, true, map[string]int64{"a/0": 5, "a/1": 7}, nil)
			r.own[partition{"p.public.a", 0}], r.own[partition{"p.public.a", 1}] = 5, 6
		}, map[string]cdc.LSN{}, 1},
		"a table that waits does not hold another one": {func(r *rig) {
			r.own[partition{"p.public.a", 0}], r.own[partition{"p.public.b", 0}] = 0, 0
			r.take(10, true, map[string]int64{"a/0": 5, "b/0": 5}, nil)
			r.take(20, false, map[string]int64{"a/0": 6}, nil)
			r.take(30, false, map[string]int64{"b/0": 6}, nil)
			r.own[partition{"p.public.a", 0}], r.own[partition{"p.public.b", 0}] = 5, 6
		}, map[string]cdc.LSN{"": 10, "public.a": 10, "public.b": 30}, 2},
		"an idle table follows": {func(r *rig) {
			r.own[partition{"p.public.a", 0}] = 0
			r.take(10, true, map[string]int64{"a/0": 5}, map[string]cdc.TableProgress{"public.idle": {Phase: cdc.TableStreaming, Generation: 1}})
			r.own[partition{"p.public.a", 0}] = 5
		}, map[string]cdc.LSN{"": 10, "public.a": 10, "public.idle": 10}, 0},
		"another loader's topic of the known id": {func(r *rig) {
			r.ids["p.public.a"], r.applied = now, []ledger.Applied{{TopicID: now, Topic: "p.public.a", Next: 5}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{"": 10, "public.a": 10}, 0},
		"another loader's former topic says nothing": {func(r *rig) {
			r.ids["p.public.a"], r.applied = now, []ledger.Applied{{TopicID: former, Topic: "p.public.a", Next: 500}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"a topic whose id is not known stays unresolved": {func(r *rig) {
			r.own[partition{"p.public.a", 0}] = 9 // met before the record came
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"the former topic ends below, and a newer copy is open": {func(r *rig) {
			r.ids["p.public.a"], r.ends["p.public.a"] = now, TopicEnds{1, map[int32]int64{0: 3}}
			r.opens = []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 1}, {TopicID: now, Topic: "p.public.a", Generation: 2}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{"": 10, "public.a": 10}, 0},
		"the same, but the partition may still get there": {func(r *rig) {
			r.ids["p.public.a"], r.ends["p.public.a"] = now, TopicEnds{1, map[int32]int64{0: 5}}
			r.opens = []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 1}, {TopicID: now, Topic: "p.public.a", Generation: 2}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"the same, but the copy is not newer": {func(r *rig) {
			r.ids["p.public.a"], r.ends["p.public.a"] = now, TopicEnds{1, map[int32]int64{0: 3}}
			r.opens = []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 1}, {TopicID: now, Topic: "p.public.a", Generation: 1}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"the same, but yet another topic has the name by now": {func(r *rig) {
			r.ids["p.public.a"], r.ends["p.public.a"] = uuid.New(), TopicEnds{1, map[int32]int64{0: 3}}
			r.opens = []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 1}, {TopicID: now, Topic: "p.public.a", Generation: 2}}
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"the partition does not exist any more": {func(r *rig) {
			r.ids["p.public.a"], r.ends["p.public.a"] = now, TopicEnds{2, map[int32]int64{0: 9, 1: 9}}
			r.opens = []ledger.Mark{{TopicID: former, Topic: "p.public.a", Generation: 1}, {TopicID: now, Topic: "p.public.a", Generation: 2}}
			r.take(10, true, map[string]int64{"a/2": 5}, nil)
		}, map[string]cdc.LSN{"": 10, "public.a": 10}, 0},
		"no topic, and capture has excluded the table": {func(r *rig) {
			r.excluded["public.a"] = true
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{"": 10, "public.a": 10}, 0},
		"no topic, and capture follows the table": {func(r *rig) {
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
		"an excluded table's topic is there": {func(r *rig) {
			r.excluded["public.a"], r.ids["p.public.a"] = true, now
			r.take(10, true, map[string]int64{"a/0": 5}, nil)
		}, map[string]cdc.LSN{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				c.prepare(r)
				r.advance()
				require.Equal(t, c.says, r.says())
				require.Equal(t, c.pending, r.tracker.Pending())
				require.Equal(t, r.offset-int64(c.pending), r.tracker.AppliedUpTo(r.offset), "the progress topic is applied up to the first record that waits")
			})
		})
	}
}

// TestAPartitionMovesToAnotherLoader: its offsets go on, from where the other loader has written them.
func TestAPartitionMovesToAnotherLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, id := newRig(t), uuid.New()
		r.ids["p.public.a"] = id
		r.own[partition{"p.public.a", 0}] = 3
		r.take(10, true, map[string]int64{"a/0": 5}, nil)
		r.advance()
		require.Empty(t, r.says())
		require.Zero(t, r.asked["ids"], "of its own partition, which is still below the offset, it needs no id")
		delete(r.own, partition{"p.public.a", 0})
		r.applied = []ledger.Applied{{TopicID: id, Topic: "p.public.a", Next: 5}}
		r.advance()
		require.Equal(t, map[string]cdc.LSN{"": 10, "public.a": 10}, r.says())
	})
}

// TestTopicMadeAgainBetweenRecords: what another loader applied to the former topic is forgotten with its id.
func TestTopicMadeAgainBetweenRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, former, now := newRig(t), uuid.New(), uuid.New()
		r.ids["p.public.a"], r.applied = former, []ledger.Applied{{TopicID: former, Topic: "p.public.a", Next: 100}}
		r.take(10, true, map[string]int64{"a/0": 100}, nil)
		r.advance()
		require.Equal(t, cdc.LSN(10), r.says()["public.a"])
		r.ids["p.public.a"] = now
		r.take(20, false, map[string]int64{"a/0": 2}, nil)
		r.advance()
		require.Equal(t, cdc.LSN(10), r.says()["public.a"], "100 records of the former topic are no 2 of this one")
		r.applied = append(r.applied, ledger.Applied{TopicID: now, Topic: "p.public.a", Next: 2})
		r.advance()
		require.Equal(t, cdc.LSN(20), r.says()["public.a"])
	})
}

// TestABatchThatIsNotApplied: a record counts only once what it says about tables is written.
func TestABatchThatIsNotApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.ids["p.public.a"] = uuid.New()
		r.own[partition{"p.public.a", 0}] = 9
		r.take(10, true, map[string]int64{"a/0": 5}, nil)
		r.tracker.Release(r.offset)
		r.take(20, false, map[string]int64{"a/0": 6}, nil)
		<-time.After(checkInterval)
		require.NoError(t, r.tracker.Advance(t.Context()))
		require.Equal(t, map[string]cdc.LSN{"": 10, "public.a": 10}, r.says())
		require.Equal(t, int64(1), r.tracker.AppliedUpTo(r.offset))
		r.advance()
		require.Equal(t, map[string]cdc.LSN{"": 20, "public.a": 20}, r.says())
	})
}

// TestAFailedQuestionSaysNothing: after an error nothing was written, and the next advance goes on.
func TestAFailedQuestionSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.ids["p.public.a"], r.failing = uuid.New(), errors.New("away")
		r.own[partition{"p.public.a", 0}] = 5
		r.take(10, true, map[string]int64{"a/0": 5}, nil)
		r.tracker.Release(r.offset)
		<-time.After(checkInterval)
		require.ErrorIs(t, r.tracker.Advance(t.Context()), r.failing)
		require.Empty(t, r.says())
		r.failing = nil
		r.advance()
		require.Equal(t, cdc.LSN(10), r.says()[""])
	})
}

// TestStatesOfTables: what capture says becomes rows of its leg, a later record or epoch outranks an earlier one, and a
// full record of a later epoch excludes what it does not name.
func TestStatesOfTables(t *testing.T) {
	r := newRig(t, ledger.Point{Table: "public.lost", Position: cdc.Position{Epoch: 1}}, ledger.Point{Position: cdc.Position{Epoch: 1}})
	require.Equal(t, uint32(1), r.tracker.Epoch())
	first := r.take(10, false, nil, map[string]cdc.TableProgress{"public.a": {Phase: cdc.TableQuarantined, Reason: "why", Generation: 2}})
	want := ledger.Quarantine{Table: "public.a", Leg: ledger.LegCapture, Reason: "why", State: ledger.StateSkipping, Generation: 2, Version: 1}
	require.Equal(t, []ledger.Quarantine{want}, first)
	second := r.take(20, false, nil, map[string]cdc.TableProgress{"public.a": {Phase: cdc.TableStreaming, Generation: 2}})
	require.Equal(t, ledger.StateClosed, second[0].State)
	require.Greater(t, second[0].Version, first[0].Version)

	later := &Record{Progress: cdc.Progress{Format: cdc.StateFormat, Epoch: 2, Full: true, CommitLSN: 1, LSN: 2, Tables: map[string]cdc.TableProgress{"public.a": {Phase: cdc.TableCopying, Generation: 3}}}}
	require.NoError(t, later.fill("p"))
	states := r.tracker.Take(0, later)
	require.Len(t, states, 2)
	require.Equal(t, "public.lost", states[1].Table)
	require.Equal(t, ledger.StateExcluded, states[1].State)
	require.Greater(t, states[0].Version, second[0].Version)
}

// TestDotInSchema: a topic's own name says which table it is; a guess from the name with its dot must not let the table
// pass.
func TestDotInSchema(t *testing.T) {
	tracker := newRig(t).tracker
	tracker.guessTopic("a.b.c")
	tracker.setTopic("p.a_x002E_b.c", "a.b.c")
	require.Equal(t, []string{"p.a_x002E_b.c"}, slices.Sorted(maps.Keys(tracker.topics)))
	tracker.guessTopic("a.b.c")
	require.Equal(t, []string{"p.a_x002E_b.c"}, slices.Sorted(maps.Keys(tracker.topics)))
}

// TestATableThatIsHeldForLong: the records that wait for one table are bounded, however many come; the others go on,
// and nothing of the held one is called complete before it is there. A record that asks for less than the one before,
// since the topic was made again, keeps both.
func TestATableThatIsHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.own = map[partition]int64{{"p.public.held", 0}: 1, {"p.public.held", 1}: 1, {"p.public.good", 0}: 1 << 40}
		r.ids = map[string]uuid.UUID{"p.public.held": uuid.New(), "p.public.good": uuid.New()}
		const records = 30_000
		for n := range records {
			r.take(cdc.LSN(n+1), n == 0, map[string]int64{fmt.Sprintf("held/%d", n%2): int64(2 + n), "good/0": int64(n)}, nil)
			r.tracker.Release(r.offset)
			require.LessOrEqual(t, r.tracker.Pending(), thinFrom)
		}
		require.Zero(t, r.tracker.AppliedUpTo(r.offset), "from there it is read again after a restart")
		r.advance()
		require.Equal(t, map[string]cdc.LSN{"public.good": records}, r.says())
		r.own[partition{"p.public.held", 0}] = records / 2
		r.advance()
		require.Zero(t, r.says()[""], "the other partition is where it was")
		r.own[partition{"p.public.held", 1}] = records / 2
		r.advance()
		require.LessOrEqual(t, r.says()["public.held"], cdc.LSN(records/2))
		require.Positive(t, r.says()["public.held"])
		r.own[partition{"p.public.held", 0}], r.own[partition{"p.public.held", 1}] = records+2, records+2
		r.advance()
		require.Equal(t, cdc.LSN(records), r.says()[""])
		require.Zero(t, r.tracker.Pending())
	})
	p, q := partition{"t", 0}, partition{"t", 1}
	require.Equal(t, []constraint{{q, 3}, {p, 7}}, join([]constraint{{p, 5}, {q, 3}}, []constraint{{p, 7}}))
	require.Equal(t, []constraint{{p, 50}, {p, 7}}, join([]constraint{{p, 50}}, []constraint{{p, 7}}))
}
