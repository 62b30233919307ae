package embedded

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestStack uses every part, then stops and kills each in turn and finds its data again, at last on a new stack in the
// same directory.
func TestStack(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Dir: dir})
	usePostgres(t, s.Postgres)
	useClickHouse(t, s.ClickHouse.URL())
	requireClientsMayVanish(t, s.ClickHouse)
	useKafka(t, s.Kafka.Brokers())
	ids := useRegistry(t, s.Registry.URL())
	requireAll := func(t *testing.T, s *Stack) {
		requirePostgres(t, s.Postgres.URL())
		requireClickHouse(t, s.ClickHouse.URL())
		requireKafka(t, s.Kafka.Brokers())
		requireRegistry(t, s.Registry.URL(), ids)
	}
	for name, p := range map[string]interface {
		part
		Kill() error
	}{"postgres": s.Postgres, "clickhouse": s.ClickHouse, "kafka": s.Kafka, "registry": s.Registry} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			require.NoError(t, p.Kill())
			require.NoError(t, p.Kill(), "killing what is dead")
			require.NoError(t, p.Start(ctx))
			require.NoError(t, p.Start(ctx), "starting what runs")
			requireAll(t, s)
			require.NoError(t, p.Stop(ctx))
			require.NoError(t, p.Stop(ctx), "stopping what is stopped")
			require.NoError(t, p.Start(ctx))
			requireAll(t, s)
		})
	}
	t.Run("new stack on the same directory", func(t *testing.T) {
		_, err := Start(testContext(t), Options{Dir: dir})
		require.ErrorIs(t, err, errInUse)
		require.ErrorIs(t, err, ErrOptions)
		require.ErrorIs(t, Clean(dir), errInUse)
		require.NoError(t, s.Stop(context.Background()))
		again := start(t, Options{Dir: dir})
		require.Equal(t, s.Postgres.URL(), again.Postgres.URL())
		require.Equal(t, s.ClickHouse.URL(), again.ClickHouse.URL())
		require.Equal(t, s.ClickHouse.HTTPURL(), again.ClickHouse.HTTPURL())
		require.Equal(t, s.Kafka.Brokers(), again.Kafka.Brokers())
		require.Equal(t, s.Registry.URL(), again.Registry.URL())
		requireAll(t, again)
		requireDefaultUserIsHarmless(t, again.ClickHouse)
		require.NoError(t, again.Stop(context.Background()))
	})
	require.NoError(t, Clean(dir))
	require.NoDirExists(t, dir)
}

// requireDefaultUserIsHarmless tries the passwordless user and a wrong password, over HTTP.
func requireDefaultUserIsHarmless(t *testing.T, c *ClickHouse) {
	t.Helper()
	ask := func(user *url.Userinfo, sql string) string {
		u := url.URL{Scheme: "http", Host: loopback(c.http), User: user}
		resp, err := http.Post(u.String(), "text/plain", strings.NewReader(sql))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	for _, sql := range []string{
		"SELECT * FROM clinic.visits", "SELECT * FROM system.users", "DROP TABLE clinic.visits", "CREATE DATABASE x",
		"SYSTEM SHUTDOWN", "SELECT * FROM file('/etc/passwd', 'LineAsString')", "INSERT INTO clinic.visits VALUES (1, now())",
	} {
		require.Contains(t, ask(url.User("default"), sql), "ACCESS_DENIED", sql)
	}
	require.Contains(t, ask(url.UserPassword(clickHouseUser, "wrong"), "SELECT 1"), "AUTHENTICATION_FAILED")
	require.Equal(t, "1\n", ask(url.UserPassword(clickHouseUser, c.password), "SELECT 1"))
}

// TestParentKilled proves that the children of a SIGKILLed parent die, and that nothing is lost.
func TestParentKilled(t *testing.T) {
	dir := t.TempDir()
	p := startParent(t, dir, nil)
	s := stackOf(t, p.report)
	usePostgres(t, s.Postgres)
	useClickHouse(t, p.report.ClickHouse)
	useKafka(t, []string{p.report.Kafka})
	ids := useRegistry(t, p.report.Registry)
	require.NoError(t, p.cmd.Process.Kill())
	require.Error(t, p.cmd.Wait())
	for _, u := range []string{p.report.Postgres, p.report.ClickHouse, p.report.HTTP, "kafka://" + p.report.Kafka, p.report.Registry} {
		require.Eventually(t, func() bool { return portFree(portOf(t, u)) }, 10*time.Second, 10*time.Millisecond, u)
	}
	again := start(t, Options{Dir: dir})
	require.Equal(t, p.report.Postgres, again.Postgres.URL())
	requirePostgres(t, again.Postgres.URL())
	requireClickHouse(t, again.ClickHouse.URL())
	requireKafka(t, again.Kafka.Brokers())
	requireRegistry(t, again.Registry.URL(), ids)
}

// TestOrdinaryUser runs the stack as an unprivileged user with root's cache. (Where the tests run unprivileged, every
// other test is that test.)
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		startParent(t, t.TempDir(), nil)
		return
	}
	dir, err := os.MkdirTemp("", "embedded-nobody-") // t.TempDir is in a private folder of root's
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chown(dir, nobody, nobody))
	p := startParent(t, dir, &syscall.Credential{Uid: nobody, Gid: nobody})
	require.Equal(t, nobody, p.report.UID)
	usePostgres(t, stackOf(t, p.report).Postgres)
	requirePostgres(t, p.report.Postgres)
	useClickHouse(t, p.report.ClickHouse)
	useKafka(t, []string{p.report.Kafka})
	useRegistry(t, p.report.Registry)
	require.NoError(t, p.finish())
}

// TestReachableDirectory: as root, a folder that every user can walk to is named to Postgres as it is; every other test
// hands it down as a descriptor.
func TestReachableDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("", "embedded-open-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.False(t, reachable(filepath.Join(dir, "x")))
	require.NoError(t, os.Chmod(dir, 0o711))
	require.True(t, reachable(filepath.Join(dir, "x")))
	s := start(t, Options{Dir: filepath.Join(dir, "stack"), Parts: Parts{Postgres: true}})
	conn, err := pgx.Connect(testContext(t), s.Postgres.URL())
	require.NoError(t, err)
	defer conn.Close(testContext(t))
	var data string
	require.NoError(t, conn.QueryRow(testContext(t), "SHOW data_directory").Scan(&data))
	require.Equal(t, s.Postgres.DataDir(), data)
	require.NoError(t, s.Postgres.Kill())
	require.NoError(t, s.Postgres.Start(testContext(t)))
	usePostgres(t, s.Postgres)
}

// stackOf makes handles on a stack of another process, good for asking only.
func stackOf(t *testing.T, r parentReport) *Stack {
	t.Helper()
	u, err := url.Parse(r.Postgres)
	require.NoError(t, err)
	password, _ := u.User.Password()
	return &Stack{Postgres: &Postgres{port: portOf(t, r.Postgres), password: password}}
}
