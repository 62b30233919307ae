package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/docker/oracle"
)

// hangup is SIGHUP; it waits until that counter of reloads has grown, and gives what was logged since.
func (r *secureRig) hangup(l *process, token, result string, times int) string {
	r.Helper()
	before := len(l.output())
	for range times {
		require.NoError(r, l.cmd.Process.Signal(syscall.SIGHUP))
	}
	r.reloaded(token, result)
	return l.output()[before:]
}

// reloads gives a counter of reloads; -1 without an answer to that token.
func (r *secureRig) reloads(token, result string) int {
	code, _ := r.ask("/livez", "")
	require.Equal(r, 200, code, "the endpoints answer all the time")
	code, body := r.ask("/metrics", token)
	_, after, found := strings.Cut(body, "\ndirtbike_config_"+result+" ")
	n := -1
	if code == 200 && found {
		_, err := fmt.Sscan(after, &n)
		require.NoError(r, err)
	}
	return n
}

// reloaded waits until the counter has grown.
func (r *secureRig) reloaded(token, result string) {
	r.Helper()
	was := r.counted[result]
	require.Eventually(r, func() bool {
		n := r.reloads(token, result)
		r.counted[result] = max(n, was)
		return n > was
	}, 40*time.Second, 50*time.Millisecond, "no reload was %s", result)
}

const (
	firstToken  = "first-tq7Vx2Lm9ZrB4wKp"
	secondToken = "second-Kp4wBrZ9mL2xV7qt"
)

// TestRotate changes every password, and the endpoints' token, while 2 clients write: SIGHUP takes them over, and every
// change is in Kafka exactly once. What is wrong with the config then changes nothing.
func TestRotate(t *testing.T) {
	t.Parallel()
	r := newSecureRig(t, `["public.*", "!public.foreign_traffic"]`, writersSchema)
	r.exec(`INSERT INTO accounts SELECT g, 'name ' || g, g, repeat('z', 2200), NULL, NULL, now() FROM generate_series(1, 200) g`)
	log := r.changeLog()
	l := r.start("run")
	r.wait()
	w := startWriters(t, r.url, 2, 7)
	right, err := os.ReadFile(r.rig.config)
	require.NoError(t, err)

	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct{ was, is, says string }{
			{"kafka: {", "kafka: {{", "not valid YAML"},
			{"prefix: " + r.name, "prefix: other", "kafka.prefix has changed"},
			{"/" + r.name + "?", "/postgres?", "source.url has changed"},
			{"${file:pg.password}", "hunter2wrong", "password authentication failed"},
			{"${file:kafka.password}", "hunter2wrong", "SASL_AUTHENTICATION_FAILED"},
			{"${file:registry.password}", "hunter2wrong", "the registry refuses us"},
			{"${file:clickhouse.password}", "hunter2wrong", "ClickHouse refuses the login"},
			{"${file:ops.token}", "${file:none}", "no such file"},
			{"cert: ops.pem", "cert: none.pem", "ops.tls.cert"},
		} {
			require.Contains(t, string(right), c.was)
			r.file("dirtbike.yaml", strings.Replace(string(right), c.was, c.is, 1))
			logged := r.hangup(l, firstToken, "reloads_refused_total", 1)
			require.Contains(t, logged, c.says)
			require.Contains(t, logged, "everything goes on as before")
			require.Equal(t, 1, strings.Count(logged, "SIGHUP"), logged)
			require.Regexp(t, `Try: [^"]+"`, logged)
			require.NotContains(t, logged, "hunter2")
		}
		r.file("dirtbike.yaml", string(right))
	})
	t.Run("taken over", func(t *testing.T) {
		for i, times := range []int{1, 2} {
			r.rotate(l, w, fmt.Sprintf("hunter2-%d", i), times)
		}
	})
	t.Run("a storm", func(t *testing.T) {
		r.storm(l)
		r.rotate(l, w, "hunter2-2", 1)
	})
	r.judgeRotation(l, w)
	r.equal(oracle.Options{Skip: []string{"public.foreign_traffic"}})
	r.exactlyOnce(log, log.Start, writersTables, func(table string) bool { return table != "public.foreign_traffic" })
	t.Run("ended meanwhile", func(t *testing.T) {
		r.file("ops.token", firstToken)
		require.NoError(t, l.cmd.Process.Signal(syscall.SIGHUP))
		l.stop()
	})
	require.NotContains(t, l.output(), "hunter2")
}

// rotate changes the passwords of all parts and has them taken over by that many SIGHUPs at once.
func (r *secureRig) rotate(l *process, w *writers, password string, times int) {
	r.Helper()
	written := w.transactions.Load()
	r.passwords(password)
	r.setPasswords(password)
	c, err := config.Load(r.rig.config)
	require.NoError(r, err)
	kafka := func() bool { return pipeline.Login(r.Context(), c, pipeline.Parts{Kafka: true}) == nil }
	require.Eventually(r, kafka, 20*time.Second, 20*time.Millisecond, "Kafka does not know the new password")
	began := time.Now()
	logged := r.hangup(l, firstToken, "reloads_total", times)
	require.NotContains(r, logged, "not taken over")
	require.Eventually(r, func() bool { return r.backendsBefore(began) == 0 }, 20*time.Second, 100*time.Millisecond, "connections of the old login are left")
	require.Eventually(r, func() bool { return w.transactions.Load() > written }, 20*time.Second, 10*time.Millisecond, "the writers stand still")
	r.wait()
}

// storm sends a hundred hangups: of those that come within a second one is taken.
func (r *secureRig) storm(l *process) {
	r.Helper()
	began, was := time.Now(), r.reloads(firstToken, "reloads_total")
	for range 100 {
		require.NoError(r, l.cmd.Process.Signal(syscall.SIGHUP))
		time.Sleep(10 * time.Millisecond) // the storm's pace
	}
	r.reloaded(firstToken, "reloads_total")
	r.wait()
	require.LessOrEqual(r, r.reloads(firstToken, "reloads_total")-was, 2+int(time.Since(began)/hangupRest))
}

// backendsBefore counts the connections of the pipeline to Postgres that are older.
func (r *secureRig) backendsBefore(at time.Time) (n int) {
	conn, err := pgx.Connect(r.Context(), r.url)
	require.NoError(r, err)
	defer conn.Close(r.Context()) // nothing is open on it
	require.NoError(r, conn.QueryRow(r.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = 'dirtbike' AND datname = $1 AND backend_start < $2`, r.name, at).Scan(&n))
	return n
}

// judgeRotation rotates the token last, and ends the writers.
func (r *secureRig) judgeRotation(l *process, w *writers) {
	r.Helper()
	c, err := config.Load(r.rig.config)
	require.NoError(r, err)
	old := strings.Replace(c.Source.URL.Reveal(), "hunter2-2", firstPassword, 1)
	_, err = pgx.Connect(r.Context(), old)
	var said *pgconn.PgError
	require.ErrorAs(r, err, &said)
	require.Equal(r, "28P01", said.Code, "the password is wrong")
	r.file("ops.token", secondToken)
	r.hangup(l, secondToken, "reloads_total", 1)
	code, _ := r.ask("/readyz", firstToken)
	require.Equal(r, 401, code)
	w.finish(r.T)
	r.wait()
}
