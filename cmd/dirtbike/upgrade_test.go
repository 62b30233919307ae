package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/oracle"
)

// oldCommit is the build from which pipelines must go on: the last one before everything was moved and renamed. It is
// changed only together with a format, for a reason that the commit names.
const oldCommit = "5c93af0d559052108db6526c95e198a121cac4d1"

// TestUpgrade starts pipelines with the old build, kills it with SIGKILL, and goes on with this one: nothing is lost or
// doubled, no table is copied again whose copy had ended, and no schema is registered again.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	embeddedtest.Tools(t, "npm")
	old := oldBuild(t)
	t.Run("copy", func(t *testing.T) { upgradeInCopy(t, old) })
	t.Run("stream", func(t *testing.T) { upgradeInStream(t, old) })
}

// upgradeInCopy kills the old build when three tables are copied and the largest one is half done.
func upgradeInCopy(t *testing.T, old string) {
	t.Parallel()
	r := newWritersRig(t, "kfake")
	r.exec(`INSERT INTO accounts SELECT g, 'name ' || g, g, repeat('z', 2200), NULL, NULL, now() FROM generate_series(10001, 16000) g`)
	r.exec(`INSERT INTO full_rows SELECT gen_random_uuid(), 'n' FROM generate_series(1, 50); INSERT INTO scratch SELECT generate_series(1, 50)`)
	copied := &gate{limit: 6 << 20, open: make(chan struct{})} // more than the other tables have together
	r.relay(r.url, copied.holds)
	log := r.changeLog()
	w := startWriters(t, r.url, 4, 21)
	l := r.startBuild(old, "run", nil)
	require.Eventually(t, func() bool {
		rows := r.copiedRows()
		return strings.Count(l.output(), `"msg":"table copied"`) == 3 && rows["public.accounts of generation 1"] > 0
	}, time.Minute, 200*time.Millisecond, "three tables copied, the fourth begun")
	l.kill()
	close(copied.open)
	start, before := r.slotStart(), r.copiedRows()
	require.Less(t, before["public.accounts of generation 1"], 7000)
	r.finishAndJudge(w, log, start)
	after := r.copiedRows()
	require.GreaterOrEqual(t, after["public.accounts of generation 2"], 6000, "copied again from its beginning")
	delete(after, "public.accounts of generation 2")
	require.Equal(t, before, after)
	r.schemasOnce()
}

// upgradeInStream kills the old build under writers, with one table in quarantine.
func upgradeInStream(t *testing.T, old string) {
	t.Parallel()
	r := newWritersRig(t, "kfake")
	r.exec(`CREATE TABLE changed (id int PRIMARY KEY); INSERT INTO changed SELECT generate_series(1, 50)`)
	log := r.changeLog()
	l := r.startBuild(old, "run", nil)
	r.wait()
	start, before := r.slotStartByState(), r.copiedRows()
	w := startWriters(t, r.url, 4, 22)
	r.exec(`ALTER TABLE changed ADD v int; INSERT INTO changed VALUES (100, 1)`)
	committed := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return w.transactions.Load() >= n }, time.Minute, 10*time.Millisecond)
	}
	require.Eventually(t, func() bool { return strings.Contains(l.output(), "table quarantined") }, 20*time.Second, 50*time.Millisecond)
	committed(300)
	l.kill()
	l = r.start("run")
	committed(w.transactions.Load() + 300)
	w.finish(t)
	code, _, errs := r.verb("wait", "--timeout", "60s")
	require.Equal(t, exitNo, code, errs)
	require.Contains(t, errs, "dirtbike resnapshot public.changed", "what the old build wrote down is the way out of the new one")
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic", "public.changed"}})
	r.exactlyOnce(log, max(start, log.Start), writersTables, func(table string) bool { return table != "public.foreign_traffic" })
	require.Equal(t, before, r.copiedRows(), "no table was copied again")
	r.schemasOnce()
	l.stop()
	code, _, errs = r.verb("resnapshot", "public.changed")
	require.Zero(t, code, errs)
	l = r.start("run")
	r.wait()
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	l.stop()
}

// copiedRows counts the rows that copies of the writers' tables have written, by table and generation; none before the
// topics are there.
func (r *rig) copiedRows() map[string]int {
	r.Helper()
	ctx, cancel := contextFor(r, time.Minute)
	defer cancel()
	rows := map[string]int{}
	for _, table := range writersTables {
		records, err := oracle.ReadTopics(ctx, r.stack.Kafka.Brokers(), r.stack.Registry.URL(), []string{r.name + "." + table})
		if err != nil { // it is not there
			return nil
		}
		for _, record := range records {
			if record.Op == oracle.OpRead {
				rows[fmt.Sprintf("%s of generation %d", table, record.Generation)]++
			}
		}
	}
	return rows
}

// schemasOnce requires that each subject of the writers' tables has one version: the new build compiles the same
// schemas.
func (r *rig) schemasOnce() {
	r.Helper()
	for _, table := range writersTables {
		for _, half := range []string{"-key", "-value"} {
			require.Equal(r, "[1]", strings.TrimSpace(r.get(r.stack.Registry.URL()+"/subjects/"+r.name+"."+table+half+"/versions")), table+half)
		}
	}
}

// oldBuild gives the binary of oldCommit, built from git once for each user of this machine.
func oldBuild(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "dirtbike-builds")
	binary := filepath.Join(dir, oldCommit)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	embeddedtest.Tools(t, "git", "tar", "go")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	work := t.TempDir()
	if err := runIn(t, "../..", "git", "-c", "safe.directory=*", "archive", "--output", work+".tar", oldCommit); err != nil {
		embeddedtest.Missing(t, fmt.Sprintf("commit %s (%v)", oldCommit, err), "git fetch --unshallow")
	}
	require.NoError(t, runIn(t, work, "tar", "-xf", work+".tar"))
	require.NoError(t, runIn(t, work, "go", "build", "-tags", "noembedded", "-o", binary+".new", "./cmd/dirtbike"))
	require.NoError(t, os.Rename(binary+".new", binary)) // only a whole one is ever found
	return binary
}

func runIn(t *testing.T, dir, name string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, tail(string(out), 1000))
	}
	return nil
}
