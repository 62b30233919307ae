package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
)

const smallSchema = `CREATE TABLE things (id int PRIMARY KEY, v text); INSERT INTO things SELECT g, 'v' || g FROM generate_series(1, 100) g`

// TestSecondCaptureFences starts a second capture of the same pipeline: the first one stops and says why, nothing is
// lost or doubled.
func TestSecondCaptureFences(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	log := r.changeLog()
	load := r.start("load")
	first := r.start("capture")
	r.wait()
	start := r.slotStart()
	r.exec(`INSERT INTO things VALUES (1000, 'first')`)
	second := r.start("capture")
	r.ends(first, 30*time.Second)
	require.Equal(t, exitWrong, first.cmd.ProcessState.ExitCode(), first.output())
	require.Contains(t, first.output(), "another capture has taken over")
	r.exec(`INSERT INTO things VALUES (1001, 'second')`)
	r.wait()
	r.equalAll()
	r.exactlyOnce(log, min(start, log.Start), []string{"public.things"}, nil)
	second.stop()
	load.stop()
}

// TestSecondCaptureWithAMistakeChangesNothing starts a second pipeline while a healthy one runs, each time with a
// config that it must not go on with: it says what is wrong, and the first one never notices.
func TestSecondCaptureWithAMistakeChangesNothing(t *testing.T) {
	t.Parallel()
	const policy = `privacy: {mode: open, columns: {public.people: {ssn: drop}}}`
	r := newRig(t, rigOptions{privacy: policy}, smallSchema+`; CREATE TABLE people (id int PRIMARY KEY, ssn text); INSERT INTO people VALUES (1, 'x')`)
	first := r.start("run")
	r.wait()
	for i, c := range []struct{ was, is, says string }{
		{"ssn: drop", "sssn: drop", "sssn"},
		{"public.people: {ssn: drop}", "public.people: {ssn: mask}", "the privacy policy of public.people has changed"},
		{"partitions: 3", "partitions: 4", "kafka.partitions is 4"},
		{"publication: " + r.name, "publication: other", "its publication was dropped"},
	} {
		second := r.startMistaken(c.was, c.is)
		r.ends(second, 15*time.Second)
		require.Equal(t, exitWrong, second.cmd.ProcessState.ExitCode(), "%s: %s", c.is, second.output())
		require.Contains(t, second.output(), c.says)
		require.NotContains(t, second.output(), "took over the transactional id", c.is)
		r.exec(`INSERT INTO people VALUES ($1, 'y')`, 100+i)
		r.wait() // many commits of the first one
		require.True(t, first.running(), "%s: %s", c.is, first.output())
	}
	unreachable := r.startMistaken(r.url, "postgres://nobody@"+embeddedtest.FreeAddress(t)+"/none")
	require.Eventually(t, func() bool { return strings.Contains(unreachable.output(), "capture was interrupted") }, 15*time.Second, 50*time.Millisecond)
	r.exec(`INSERT INTO people VALUES (200, 'z')`)
	r.wait()
	require.NotContains(t, unreachable.output(), "took over the transactional id")
	r.ends(unreachable, 15*time.Second)
	require.Equal(t, exitUnreachable, unreachable.cmd.ProcessState.ExitCode(), unreachable.output())
	code, out, errs := r.verb("verify")
	require.Zero(t, code, "%s%s", out, errs)
	require.NotContains(t, first.output(), "quarantined")
	first.stop()
}

// startMistaken starts the verb run with one word of the config replaced; the legs started before keep theirs.
func (r *rig) startMistaken(was, is string) *process {
	r.Helper()
	config, port := r.config, r.ports["load"]
	defer func() { r.config, r.ports["load"] = config, port }()
	text, err := os.ReadFile(config)
	require.NoError(r, err)
	require.Contains(r, string(text), was)
	r.config, r.ports["load"] = config+".mistaken", "127.0.0.1:0"
	require.NoError(r, os.WriteFile(r.config, []byte(strings.ReplaceAll(string(text), was, is)), 0o600))
	return r.start("run")
}

// TestIdleAndForeignTrafficAdvance lets the slot follow a database in which nothing captured happens.
func TestIdleAndForeignTrafficAdvance(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{tables: `["public.*", "!public.noise"]`}, smallSchema+`; CREATE TABLE noise (v text)`)
	l := r.start("run")
	r.wait()
	for range 3 {
		r.exec(`INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 2000)`)
		var target string
		require.NoError(t, r.pg().QueryRow(t.Context(), `SELECT pg_current_wal_flush_lsn()::text`).Scan(&target))
		require.Eventually(t, func() bool {
			var passed bool
			err := r.pg().QueryRow(t.Context(), `SELECT confirmed_flush_lsn >= $2::pg_lsn FROM pg_replication_slots WHERE slot_name = $1`, r.name, target).Scan(&passed)
			return err == nil && passed
		}, 15*time.Second, 100*time.Millisecond, "the slot did not pass foreign traffic")
	}
	l.stop()
}

// TestRefusals starts a pipeline whose parts do not fit together: each says what to do, exits 2 and changes nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	l := r.start("run")
	r.wait()
	l.stop()
	config, err := os.ReadFile(r.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(r.config, []byte(strings.Replace(string(config), "partitions: 3", "partitions: 4", 1)), 0o600))
	l = r.start("capture")
	r.ends(l, 15*time.Second)
	require.Equal(t, exitWrong, l.cmd.ProcessState.ExitCode(), l.output())
	require.Regexp(t, `(?m)^Error: .*kafka\.partitions is 4, this pipeline's topics were made with 3: .* is safe\.\nTry: set it back to 3, or .*\n\z`, l.output())
	require.NotContains(t, l.output(), "capture was interrupted", "another try is no help")
	r.writeConfig()
	pg := r.pg()
	require.Eventually(t, func() bool {
		var active bool
		err := pg.QueryRow(t.Context(), `SELECT active FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&active)
		return err == nil && !active
	}, 10*time.Second, 20*time.Millisecond, "Postgres lets go of the slot a moment after capture has ended")
	for _, c := range []struct{ name, breakIt, says string }{
		{"slot gone", `SELECT pg_drop_replication_slot('` + r.name + `')`, "is gone"},
		{"slot made again", `SELECT pg_create_logical_replication_slot('` + r.name + `', 'pgoutput')`, "dropped and made again"},
	} {
		r.exec(c.breakIt)
		r.exec(`INSERT INTO things SELECT max(id) + 1 FROM things`)
		l := r.start("capture")
		r.ends(l, 30*time.Second)
		require.Equal(t, exitWrong, l.cmd.ProcessState.ExitCode(), "%s: %s", c.name, l.output())
		require.Contains(t, l.output(), c.says, c.name)
		require.Contains(t, l.output(), "Try:", c.name)
	}
}

// TestQuarantine breaks one table in three ways that must not touch the other.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema+`; CREATE TABLE others (id int PRIMARY KEY, v text)`)
	l := r.start("run")
	r.wait()
	r.exec(`ALTER TABLE others ADD COLUMN w int; INSERT INTO others VALUES (1, 'x', 2)`)
	r.exec(`INSERT INTO things VALUES (2000, 'goes on')`)
	require.Eventually(t, func() bool {
		code, out, _ := r.verb("status")
		return code == exitNo && strings.Contains(out, "quarantined") && strings.Contains(out, "its columns have changed (added w)")
	}, 20*time.Second, 200*time.Millisecond)
	code, _, errs := r.verb("wait", "--timeout", "10s")
	require.Equal(t, exitNo, code)
	require.Contains(t, errs, "public.others")
	var n uint64
	require.Eventually(t, func() bool {
		return r.ch().QueryRow(t.Context(), "SELECT count() FROM `"+r.name+"`.things WHERE id = 2000").Scan(&n) == nil && n == 1
	}, 15*time.Second, 100*time.Millisecond)
	l.stop()
	// the quarantine survives a restart
	l = r.start("run")
	code, _, errs = r.verb("wait", "--timeout", "10s")
	require.Equal(t, exitNo, code, errs)
	require.Contains(t, errs, cdc.StopFirst("Try: "+cdc.ResnapshotCommand("public.others")))
	code, _, errs = r.verb("resnapshot", "public.others")
	require.Equal(t, exitWrong, code, errs)
	require.Contains(t, errs, "another process streams from slot")
	l.stop()
	for _, wrong := range [][]string{{"public.other"}, {}, {"--all", "public.others"}} {
		code, _, errs = r.verb(append([]string{"resnapshot"}, wrong...)...)
		require.Equal(t, exitWrong, code, errs)
		require.Contains(t, errs, "\nTry: dirtbike ")
	}
	r.exec(`INSERT INTO others VALUES (2, 'in the copy', 3); INSERT INTO things VALUES (2001, 'in the log')`)
	code, out, errs := r.verb("resnapshot", "public.others")
	require.Zero(t, code, errs)
	require.Contains(t, out, "Copied public.others to Kafka again")
	r.exec(`INSERT INTO others VALUES (3, 'after the copy', 4); UPDATE others SET w = w + 1 WHERE id = 1`)
	l = r.start("run")
	r.wait()
	r.equalAll()
	code, out, errs = r.verb("status")
	require.Zero(t, code, "%s%s", out, errs)
	l.stop()
}

// TestBigTransaction is split over many Kafka transactions, and killed in between.
func TestBigTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{kafkaYAML: ", max_transaction: 256KB, max_message_bytes: 128KB"}, smallSchema)
	log := r.changeLog()
	l := r.start("run")
	r.wait()
	start := r.slotStart()
	r.exec(`INSERT INTO things SELECT g, repeat('y', 50) FROM generate_series(1001, 20000) g; UPDATE things SET v = v || id; DELETE FROM things WHERE id % 3 = 0`)
	for range 3 {
		l.kill()
		l = r.start("run", envFault+"=inside-an-open-transaction:4")
		r.ends(l, 30*time.Second)
	}
	l = r.start("run")
	r.wait()
	r.equalAll()
	r.exactlyOnce(log, min(start, log.Start), []string{"public.things"}, nil)
	l.stop()
}
