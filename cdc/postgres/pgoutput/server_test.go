package pgoutput

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

var (
	update = flag.Bool("update", false, "record the goldens again from a real Postgres")
	pgbin  = flag.String("pgbin", "", "directory of initdb and postgres (default: the newest under /usr/lib/postgresql)")
)

// startServer runs a throw-away Postgres with logical decoding for the recorder and returns its URL.
func startServer(t *testing.T) string {
	t.Helper()
	bin := *pgbin
	if bin == "" {
		found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
		require.NoError(t, err)
		require.NotEmpty(t, found, "no Postgres to record from. Try: apt-get install postgresql, or -pgbin DIR")
		bin = found[len(found)-1]
	}
	dir, attr := serverAccount(t)
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = "/", attr
		cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+dir)
		return cmd
	}
	out, err := run("initdb", "-D", dir+"/data", "-U", "golden", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput()
	require.NoError(t, err, string(out))
	port := freePort(t)
	server := run("postgres", "-D", dir+"/data", "-p", port, "-h", "127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "wal_level=logical", "-c", "max_replication_slots=20", "-c", "max_wal_senders=20", "-c", "max_prepared_transactions=5", "-c", "logical_decoding_work_mem=64kB",
		"-c", "autovacuum=off", "-c", "fsync=off", "-c", "wal_writer_delay=10ms")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	url := fmt.Sprintf("postgres://golden@127.0.0.1:%s/postgres?sslmode=disable", port)
	require.Eventually(t, func() bool {
		conn, err := pgconn.Connect(context.Background(), url)
		if err != nil {
			return false
		}
		return conn.Close(context.Background()) == nil
	}, 30*time.Second, 50*time.Millisecond)
	return url
}

// serverAccount makes the server's directory; root hands it to an unprivileged account, as Postgres refuses root.
func serverAccount(t *testing.T) (string, *syscall.SysProcAttr) {
	dir, err := os.MkdirTemp("/tmp", "pgoutput-golden-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		const nobody = 65534
		require.NoError(t, os.Chown(dir, nobody, nobody))
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return dir, attr
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
