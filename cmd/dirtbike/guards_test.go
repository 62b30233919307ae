package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/oracle"
	"dirtbike/schemas"
)

// guarded is a pipeline that has run and was stopped: what breaks it then must stop every start, until the choice is
// taken.
type guarded struct {
	*rig
	log *oracle.ChangeLog
	// began is the slot's consistent point, rested an LSN between the transactions before the break and those after it.
	began, rested uint64
	epoch         uint64 // the newest
}

// guardedRig runs a pipeline on Apache Kafka under writers, and stops it.
func guardedRig(t *testing.T, change func(o *rigOptions)) *guarded {
	t.Helper()
	o := writersOptions("apache")
	change(&o)
	g := &guarded{rig: newWritersRigOf(t, o), epoch: 1}
	g.log = g.changeLog()
	capture := g.start("capture")
	pg := g.pg()
	require.Eventually(t, func() bool {
		var made bool
		err := pg.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn IS NOT NULL)`, g.name).Scan(&made)
		return err == nil && made
	}, 30*time.Second, 20*time.Millisecond)
	g.began = g.slotStart()
	load := g.start("load")
	g.wait()
	w := startWriters(t, g.url, 4, 7)
	<-time.After(time.Second) // of traffic
	w.finish(t)
	g.wait()
	g.rested = g.lsn()
	capture.stop()
	load.stop()
	return g
}

// lsn is where the log ends now.
func (r *rig) lsn() (lsn uint64) {
	r.Helper()
	require.NoError(r, r.pg().QueryRow(r.Context(), `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&lsn))
	return lsn
}

// stops requires that the verb ends by itself, soon, with the choice, and that no topic gets a record.
func (g *guarded) stops(verb, says string) {
	g.Helper()
	before := g.topicEnds()
	for range 2 { // nothing that the first one did lets the second one pass
		l := g.start(verb)
		g.ends(l, 30*time.Second)
		require.Equal(g, exitWrong, l.cmd.ProcessState.ExitCode(), l.output())
		require.Regexp(g, `(?m)^Error: .*`+says+`.*$`, l.output())
		require.Regexp(g, `(?m)^Try: .*`+regexp.QuoteMeta(cdc.ResnapshotAllCommand), l.output())
	}
	require.Equal(g, before, g.topicEnds(), "nothing moves")
	code, _, errs := g.verb("wait", "--timeout", "2s")
	require.NotZero(g, code, errs)
}

// topicEnds gives the ends of all topics of the pipeline.
func (g *guarded) topicEnds() map[string]int64 {
	g.Helper()
	ends := map[string]int64{}
	admin := g.kafkaAdmin()
	topics := g.topics(admin)
	if len(topics) == 0 { // an empty list would mean all
		return ends
	}
	listed, err := admin.ListEndOffsets(g.Context(), topics...)
	require.NoError(g, err)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Topic] += o.Offset })
	return ends
}

func (r *rig) kafkaAdmin() *kadm.Client {
	r.Helper()
	return kadm.NewClient(r.kafkaClient())
}

func (r *rig) kafkaClient() *kgo.Client {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stack.Kafka.Brokers()...))
	require.NoError(r, err)
	r.T.Cleanup(client.Close)
	return client
}

// topics lists those of the pipeline, its own among them.
func (r *rig) topics(admin *kadm.Client) (names []string) {
	r.Helper()
	details, err := admin.ListTopics(r.Context())
	require.NoError(r, err)
	mine := regexp.MustCompile(`^(_dirtbike\.)?` + regexp.QuoteMeta(r.name) + `\.`)
	for name := range details {
		if mine.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

func (r *rig) deleteTopics(names ...string) {
	r.Helper()
	admin := r.kafkaAdmin()
	_, err := admin.DeleteTopics(r.Context(), names...)
	require.NoError(r, err)
	require.Eventually(r, func() bool {
		details, err := admin.ListTopics(r.Context(), names...)
		if err != nil {
			return false
		}
		for _, d := range details {
			if d.Err == nil {
				return false
			}
		}
		return true
	}, 20*time.Second, 50*time.Millisecond, "the topics do not go away")
}

// cutShort kills the choice at each of its points: the old slot is never mistaken for the new one, and the choice can
// be taken again.
func (g *guarded) cutShort() {
	g.Helper()
	for _, point := range []string{cdc.FaultRenewing, cdc.FaultSlotDropped} {
		l := g.start("resnapshot --all", envFault+"="+point+":1")
		g.ends(l, 30*time.Second)
		l.diedOfKill()
		g.stops("capture", "did not get to its end")
		g.epoch++
	}
	l := g.start("resnapshot --all", envFault+"="+cdc.FaultInCopy+":1")
	g.ends(l, 30*time.Second)
	l.diedOfKill()
	g.epoch++
}

// chooseAndJudge takes the choice, goes on under writers, and compares: rows equal, what was published before the break
// exactly once, and everything after the new slot's consistent point exactly once under the next epoch.
func (g *guarded) chooseAndJudge(judgeFormer bool) {
	g.Helper()
	code, out, errs := g.verb("resnapshot", "--all")
	require.Zero(g, code, "%s%s", out, errs)
	began := g.slotStart()
	l := g.start("run")
	w := startWriters(g.T, g.url, 4, 8)
	<-time.After(time.Second) // of traffic
	w.finish(g.T)
	g.wait()
	g.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	if judgeFormer {
		g.judge(oracle.CheckOptions{Since: max(g.log.Start, g.began), Until: g.rested, Epoch: 1})
	}
	g.judge(oracle.CheckOptions{Since: began, Epoch: g.epoch + 1})
	l.stop()
}

// judge compares the topics with the independent list.
func (g *guarded) judge(o oracle.CheckOptions) {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 3*time.Minute)
	defer cancel()
	changes, err := g.log.Read(ctx, g.pg())
	require.NoError(g, err)
	topics := []string{schemas.ControlTopic(g.name)}
	for _, t := range writersTables {
		topics = append(topics, g.name+"."+t)
	}
	records, err := oracle.ReadTopics(ctx, g.stack.Kafka.Brokers(), g.stack.Registry.URL(), topics)
	require.NoError(g, err)
	o.Tables, o.Prefix, o.Published = writersTables, g.name, func(table string) bool { return table != "public.foreign_traffic" }
	require.NoError(g, oracle.CheckExactlyOnce(changes, records, o))
}

// TestGuards: when the changes after the stored position are lost, capture stops with the choice, nothing moves until
// it is taken, and afterwards both sides are equal and every change is there once.
func TestGuards(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		break_ func(g *guarded)
		says   string
		former bool // the topics of before are still there
	}{
		{"slot dropped", func(g *guarded) { g.exec(`SELECT pg_drop_replication_slot($1)`, g.name) }, "slot .* is gone", true},
		{"slot dropped and made again", func(g *guarded) {
			g.exec(`SELECT pg_drop_replication_slot($1)`, g.name)
			g.missed()
			g.exec(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, g.name)
		}, "dropped and made again, or advanced by another process", true},
		{"slot advanced", func(g *guarded) {
			g.missed()
			g.exec(`SELECT pg_replication_slot_advance($1, pg_current_wal_insert_lsn())`, g.name)
		}, "dropped and made again, or advanced by another process", true},
		{"state topic deleted", func(g *guarded) { g.deleteTopics(schemas.StateTopic(g.name)) }, "the state topic knows nothing of it", true},
		{"control topic deleted", func(g *guarded) { g.deleteTopics(schemas.ControlTopic(g.name)) }, "it was deleted", false}, // with the truncates of before
		{"publication dropped", func(g *guarded) { g.exec(`DROP PUBLICATION ` + g.name) }, "its publication was dropped", true},
		{"Kafka rebuilt", func(g *guarded) { g.deleteTopics(g.topics(g.kafkaAdmin())...) }, "the state topic knows nothing of it", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := guardedRig(t, func(*rigOptions) {})
			test.break_(g)
			g.missed()
			g.stops("capture", test.says)
			if test.name == "Kafka rebuilt" {
				g.stops("load", "rebuilt")
			}
			if test.name == "slot advanced" {
				g.cutShort()
			}
			g.chooseAndJudge(test.former)
		})
	}
}

// TestDeletedTopic: a deleted topic is made again, with a whole copy in it, and load goes on from that; no person has
// to choose, since nothing of the source is lost.
func TestDeletedTopic(t *testing.T) {
	t.Parallel()
	g := guardedRig(t, func(*rigOptions) {})
	g.deleteTopics(g.name + ".public.entries")
	g.missed()
	l := g.start("run")
	g.wait()
	g.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	require.Contains(t, l.output(), "the table's topic was deleted; it is copied again")
	l.stop()
}

// missed writes changes that no capture reads.
func (g *guarded) missed() {
	g.exec(`INSERT INTO entries SELECT 50000 + g, 1, 'missed', 1 FROM generate_series(1, 100) g ON CONFLICT (account, line) DO UPDATE SET code = 'again'`)
	g.exec(`DELETE FROM accounts WHERE id % 7 = 0`)
}

// copyDir replaces a folder by a copy of another one.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(to))
	out, err := exec.Command("cp", "-a", from, to).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// knowsNothingWithoutKafka: only the state says which history ClickHouse was filled from.
func (g *guarded) knowsNothingWithoutKafka() {
	g.Helper()
	whole, err := os.ReadFile(g.config)
	require.NoError(g, err)
	away := strings.ReplaceAll(string(whole), strings.Join(g.stack.Kafka.Brokers(), `", "`), embeddedtest.FreeAddress(g.T))
	require.NotEqual(g, string(whole), away)
	path := g.dir + "/kafka-away.yaml"
	require.NoError(g, os.WriteFile(path, []byte(away), 0o600))
	for _, verb := range [][]string{{"wait", "--timeout", "5s"}, {"verify"}} {
		code, out, errs := verbWith(g.T, path, verb...)
		require.Equal(g, exitUnreachable, code, errs)
		require.Empty(g, out)
		require.Regexp(g, "^Error: [^\n]+ask Kafka which history was captured[^\n]+\nTry: [^\n]+\n$", errs)
	}
}

// TestRestoredPostgres puts an older copy of the whole server in its place: its log positions come again, with other
// changes.
func TestRestoredPostgres(t *testing.T) {
	t.Parallel()
	g := guardedRig(t, func(o *rigOptions) { o.postgres = "18" })
	server, backup := g.stack.Postgres, t.TempDir()+"/backup"
	require.NoError(t, server.Stop(t.Context()))
	copyDir(t, server.DataDir(), backup)
	require.NoError(t, server.Start(t.Context()))
	l := g.start("run")
	g.exec(`INSERT INTO entries SELECT 60000 + g, 1, repeat('x', 5), 1 FROM generate_series(1, 20000) g; DELETE FROM full_rows`)
	g.wait()
	l.stop()
	require.NoError(t, server.Stop(t.Context()))
	copyDir(t, backup, server.DataDir())
	require.NoError(t, server.Start(t.Context()))
	g.exec(`INSERT INTO entries VALUES (60001, 1, 'other', 2)`) // another history
	g.stops("capture", "restored from an older copy")
	code, _, errs := g.verb("verify")
	require.Equal(t, exitNo, code, errs)
	require.Contains(t, errs, "restored from an older copy")
	g.knowsNothingWithoutKafka()
	g.chooseAndJudge(true)
}

// privateClickHouse gives the rig a ClickHouse of its own.
func (r *rig) privateClickHouse() *embedded.ClickHouse {
	r.Helper()
	s := embeddedtest.Start(r, embedded.Options{Parts: embedded.Parts{ClickHouse: true}})
	r.stack = &embedded.Stack{Postgres: r.stack.Postgres, ClickHouse: s.ClickHouse, Kafka: r.stack.Kafka, Registry: r.stack.Registry}
	r.writeConfig()
	return s.ClickHouse
}

// TestRestoredClickHouse puts an older copy of ClickHouse in its place: as long as Kafka has the changes since, load
// goes on from there by itself; where it has not, the tables that lack records are quarantined until they are copied.
func TestRestoredClickHouse(t *testing.T) {
	t.Parallel()
	g := guardedRig(t, func(o *rigOptions) { o.privateClickHouse = true })
	server, backup := g.stack.ClickHouse, t.TempDir()+"/backup"
	require.NoError(t, server.Stop(t.Context()))
	copyDir(t, server.DataDir(), backup)
	require.NoError(t, server.Start(t.Context()))
	restore := func() {
		require.NoError(t, server.Stop(t.Context()))
		copyDir(t, backup, server.DataDir())
		require.NoError(t, server.Start(t.Context()))
	}
	run := func() {
		l := g.start("run")
		w := startWriters(t, g.url, 4, 9)
		<-time.After(time.Second) // of traffic
		w.finish(t)
		g.wait()
		l.stop()
	}
	run()
	restore()
	run()
	g.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	g.rested = g.lsn()
	restore()
	admin := g.kafkaAdmin()
	ends, err := admin.ListEndOffsets(t.Context(), g.name+".public.accounts", g.name+".public.entries")
	require.NoError(t, err)
	kept, err := oracle.ReadTopics(t.Context(), g.stack.Kafka.Brokers(), g.stack.Registry.URL(), []string{g.name + ".public.accounts"})
	require.NoError(t, err)
	require.NotEmpty(t, kept)
	_, err = admin.DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	l := g.start("load") // it quarantines the tables that lack records, and goes on
	require.Eventually(t, func() bool {
		code, _, _ := g.verb("wait", "--timeout", "2s")
		return code == 1
	}, 30*time.Second, 50*time.Millisecond, "no table is quarantined")
	l.stop()
	g.chooseAndJudge(false)
}

// TestSlotIsLost: Postgres gives up a slot that retains too much, or that was idle for too long. Start, status and
// check say so and what to do, which is done as it is printed: afterwards both sides are equal.
func TestSlotIsLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ postgres, setting, small, large string }{
		{"16", "max_slot_wal_keep_size", "1MB", "1GB"}, {"18", "idle_replication_slot_timeout", "1s", "1h"},
	} {
		t.Run(test.setting, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{postgres: test.postgres}, smallSchema)
			set := func(value string) {
				r.exec(`ALTER SYSTEM SET ` + test.setting + ` = '` + value + `'`)
				r.exec(`SELECT pg_reload_conf()`)
			}
			l := r.start("run")
			r.wait()
			l.stop()
			set(test.small)
			r.loses()
			way := "raise " + test.setting + ", then " + cdc.ResnapshotAllCommand
			l = r.start("run")
			r.ends(l, 30*time.Second)
			require.Equal(t, exitWrong, l.cmd.ProcessState.ExitCode(), l.output())
			require.Contains(t, r.short(l.output()), "\nTry: "+way+"\n")
			code, _, errs := r.verb("status")
			require.Equal(t, exitNo, code)
			require.Contains(t, errs, "Try: "+way+"\n")
			require.Contains(t, failedCheck(r.checks(exitNo), "postgres-slot").Command, way)
			set(test.large)
			code, _, errs = r.verb(strings.Fields(strings.TrimPrefix(cdc.ResnapshotAllCommand, "dirtbike "))...)
			require.Zero(t, code, errs)
			l = r.start("run")
			r.wait()
			r.equalAll()
			code, out, errs := r.verb("status")
			require.Zero(t, code, out+errs)
			l.stop()
		})
	}
}

// loses writes and checkpoints until Postgres has given up the slot.
func (r *rig) loses() {
	r.Helper()
	pg, status := r.pg(), ""
	require.Eventually(r, func() bool {
		r.exec(`INSERT INTO things SELECT max(id) + 1, 'missed' FROM things; SELECT pg_switch_wal()`)
		r.exec(`CHECKPOINT`)
		return pg.QueryRow(r.Context(), `SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&status) == nil && status == "lost"
	}, 30*time.Second, 100*time.Millisecond)
}
