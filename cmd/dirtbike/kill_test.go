package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/oracle"
)

var (
	killCount = flag.Int("kills", 20, "SIGKILLs of the random kill test")
	killSeed  = flag.Uint64("kill-seed", 0, "seed of the random kill test; 0 draws one and prints it")
)

var writersTables = []string{"public.accounts", "public.entries", "public.full_rows", "public.scratch"}

func newWritersRig(t *testing.T, kafka string) *rig {
	return newWritersRigOf(t, writersOptions(kafka))
}

// writersOptions make split transactions (rule 7) common, by small Kafka transactions.
func writersOptions(kafka string) rigOptions {
	return rigOptions{kafka: kafka, tables: `["public.*", "!public.foreign_traffic"]`, kafkaYAML: ", max_transaction: 256KB, max_message_bytes: 128KB"}
}

func newWritersRigOf(t *testing.T, o rigOptions) *rig {
	r := newRig(t, o, writersSchema)
	r.exec(`INSERT INTO accounts SELECT g, 'name ' || g, g, repeat('z', 2200), NULL, NULL, now() FROM generate_series(1, 400) g`)
	r.exec(`INSERT INTO entries SELECT g, l, 'c', 1 FROM generate_series(1, 2000) g, generate_series(1, 3) l`)
	return r
}

// TestKillPoints kills each leg at each of its named points, with one pipeline going on through all of them.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	r := newWritersRig(t, "kfake")
	log := r.changeLog()
	w := startWriters(t, r.url, 4, 1)
	start := r.killInCopy(2)
	for _, k := range []struct{ verb, point string }{
		{"capture", cdc.FaultAfterProduce}, {"capture", cdc.FaultAfterCommit}, {"capture", cdc.FaultInTxn},
		{"load", cdc.FaultBeforeInsert}, {"load", cdc.FaultInInsert}, {"load", cdc.FaultAfterInsert},
		{"run", cdc.FaultAfterProduce}, {"run", cdc.FaultAfterInsert},
	} {
		r.killAt(k.verb, k.point, 5)
	}
	r.finishAndJudge(w, log, start)
}

// killInCopy kills capture inside the first copy, that many times, and gives the slot's consistent point.
func (r *rig) killInCopy(times int) uint64 {
	r.Helper()
	for range times {
		l := r.start("capture", envFault+"="+cdc.FaultInCopy+":1")
		r.ends(l, 30*time.Second)
		require.Equal(r, "copy", openAt(l.killedAt(), true))
		l.diedOfKill()
	}
	return r.slotStart()
}

// slotStart is the LSN at which the pipeline's slot began; before the first stream confirmed_flush_lsn still says so.
func (r *rig) slotStart() uint64 {
	r.Helper()
	var lsn uint64
	require.NoError(r, r.pg().QueryRow(r.Context(), `SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&lsn))
	return lsn
}

// killAt runs both legs until the one is killed at the point.
func (r *rig) killAt(verb, point string, n int) {
	r.Helper()
	other := map[string]string{"capture": "load", "load": "capture"}[verb]
	if other != "" {
		running := r.start(other)
		defer running.kill()
	}
	l := r.start(verb, fmt.Sprintf("%s=%s:%d", envFault, point, n))
	r.ends(l, 60*time.Second)
	require.Equal(r, point, l.killedAt(), "killed elsewhere; output: %s", tail(l.output(), 2000))
	l.diedOfKill()
}

// diedOfKill requires that a leg that has ended was ended by SIGKILL: one that ended by itself is no kill.
func (l *process) diedOfKill() {
	l.rig.Helper()
	status, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(l.rig, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%s ended by itself (%v): %s", l.verb, l.err, tail(l.output(), 2000))
}

// ends waits for a leg to end by itself.
func (r *rig) ends(l *process, within time.Duration) {
	r.Helper()
	select {
	case <-l.done:
	case <-time.After(within):
		l.dump()
		r.Fatalf("%s did not end within %s", l.verb, within)
	}
}

// finishAndJudge ends the writers, lets the pipeline catch up, and compares.
func (r *rig) finishAndJudge(w *writers, log *oracle.ChangeLog, start uint64) {
	r.Helper()
	w.finish(r.T)
	l := r.start("run")
	r.wait()
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	r.exactlyOnce(log, start, writersTables, func(table string) bool { return table != "public.foreign_traffic" })
	l.stop()
}

// TestRandomKills kills capture, load and both at random under 8 writing clients. More: go test ./cmd/dirtbike -run
// TestRandomKills -kills 200
func TestRandomKills(t *testing.T) {
	t.Parallel()
	randomKills(t, "kfake", *killCount)
}

// TestRandomKillsApacheKafka is the same on Apache Kafka, with fewer kills.
func TestRandomKillsApacheKafka(t *testing.T) {
	t.Parallel()
	randomKills(t, "apache", min(*killCount/2, 20))
}

func randomKills(t *testing.T, kafka string, kills int) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d: go test ./cmd/dirtbike -run '^%s$' -kill-seed %d", seed, t.Name(), seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newWritersRig(t, kafka)
	log := r.changeLog()
	w := startWriters(t, r.url, 8, seed)
	inside := map[string]int{"copy": 1}
	start := r.killInCopy(1)
	done := 1
	for done < kills {
		for _, open := range r.killSome(random) {
			inside[open]++
			done++
		}
	}
	for _, thing := range openThings { // what chance has left out
		if inside[thing.what] == 0 {
			r.killAt(thing.verb, thing.point, 1)
			inside[openAt(thing.point, true)]++
			done++
		}
	}
	t.Logf("%d kills, by what was open: %v", done, inside)
	for _, thing := range openThings {
		require.NotZero(t, inside[thing.what], "%d kills, none inside: %s", done, thing.what)
	}
	r.finishAndJudge(w, log, start)
}

// killSome runs both legs and kills capture, load or both: half of the time at a named point, otherwise from outside
// after a random while. It gives what each of them had open.
func (r *rig) killSome(random *rand.Rand) (open []string) {
	r.Helper()
	env := map[string][]string{}
	byPoint := random.IntN(2) == 0
	victims := [][]string{{"capture"}, {"load"}, {"capture", "load"}}[random.IntN(3)]
	if byPoint {
		for _, verb := range victims {
			env[verb] = []string{envFault + "=" + randomFault(random, verb)}
		}
	}
	legs := map[string]*process{}
	for _, verb := range []string{"capture", "load"} {
		legs[verb] = r.start(verb, env[verb]...)
	}
	while := time.Duration(300+random.IntN(1700)) * time.Millisecond
	if byPoint {
		while = 3 * time.Second // to get there
	}
	for _, verb := range victims {
		l := legs[verb]
		select {
		case <-l.done: // at its point, before its time
		case <-time.After(while):
		}
		byHook := !l.running()
		open = append(open, openAt(l.killedAt(), byHook))
		l.diedOfKill()
	}
	for verb, l := range legs {
		require.True(r, slices.Contains(victims, verb) || l.running(), "%s ended by itself: %s", verb, tail(l.output(), 2000))
		l.kill()
	}
	return open
}
