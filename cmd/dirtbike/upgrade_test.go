package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/oracle"
)

// oldCommit is a build of the format before this one: truncates and generations were in the tables' topics.
const oldCommit = "5c93af0d559052108db6526c95e198a121cac4d1"

// TestUpgrade: what a build of an older format has written is refused by both legs, with the two ways on, and nothing
// moves. The one that is taken here, new topics, ends with both sides equal.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	embeddedtest.Tools(t, "npm")
	old := oldBuild(t)
	r := newRig(t, rigOptions{}, `CREATE TABLE kept (id int PRIMARY KEY, v text); INSERT INTO kept SELECT g, 'former' FROM generate_series(1, 100) g`)
	l := r.startBuild(old, "run", nil)
	ch := r.ch()
	rows := func() (n uint64) {
		_ = ch.QueryRow(t.Context(), "SELECT count() FROM "+r.name+".kept").Scan(&n) // 0 before there is a view
		return n
	}
	require.Eventually(t, func() bool { return rows() == 100 }, time.Minute, 50*time.Millisecond)
	l.kill()
	r.exec(`INSERT INTO kept VALUES (101, 'while nobody captured'); DELETE FROM kept WHERE id = 1; TRUNCATE kept; INSERT INTO kept VALUES (102, 'later')`)
	for _, verb := range []string{"capture", "load"} {
		l := r.start(verb)
		r.ends(l, 30*time.Second)
		require.Equal(t, exitWrong, l.cmd.ProcessState.ExitCode(), l.output())
		require.Contains(t, l.output(), "it has format 1, this release reads 2")
		require.Contains(t, l.output(), "run the release that wrote it")
	}
	code, _, errs := r.verb("resnapshot", "--all")
	require.Equal(t, exitWrong, code, "the tables' topics still have what this release does not read: %s", errs)
	require.Contains(t, errs, cdc.ResnapshotAllCommand)
	require.EqualValues(t, 100, rows())

	r.deleteTopics(r.topics(r.kafkaAdmin())...)
	code, _, errs = r.verb("resnapshot", "--all")
	require.Zero(t, code, errs)
	l = r.start("run")
	r.wait()
	r.equal(oracle.Options{})
	l.stop()
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
