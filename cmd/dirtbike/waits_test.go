package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStartWaits: a first start waits for a transaction that somebody has left open. Log, readyz and both forms of
// status say whose, none says to start what runs, `wait` waits with it, and what is printed ends it.
func TestStartWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	holder := r.pg()
	_, err := holder.Exec(t.Context(), `BEGIN`)
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `INSERT INTO things VALUES (7700007, 'OPENSECRET')`)
	require.NoError(t, err)
	l := r.start("run")
	whose := fmt.Sprintf("process %d of role", holder.PgConn().PID())
	ends := fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(%d)", holder.PgConn().PID())
	says := func(name string, answer func() string) {
		t.Helper()
		var text string
		require.Eventually(t, func() bool { text = answer(); return strings.Contains(text, whose) }, 30*time.Second, 200*time.Millisecond, "%s: %s", name, &text)
		require.Contains(t, text, "last statement INSERT", name)
		require.Contains(t, text, "since 2", name)
		require.Contains(t, text, ends, name)
		require.NotContains(t, text, "OPENSECRET", name)
		require.NotContains(t, text, "dirtbike run", name)
	}
	says("log", l.output)
	says("status", func() string { code, out, errs := r.verb("status"); require.Equal(t, exitNo, code); return out + errs })
	says("status --json", func() string { _, out, _ := r.verb("status", "--json"); return out })
	says("/status", r.status)
	says("readyz", func() string { return r.get("http://" + r.listens("run") + "/readyz") })
	waited := make(chan string, 1)
	go func() { code, out, errs := r.verb("wait"); waited <- fmt.Sprint(code, out, errs) }()
	require.Never(t, func() bool { return len(waited) > 0 }, time.Second, 100*time.Millisecond)
	r.exec(ends)
	require.Equal(t, "0", <-waited)
	require.Eventually(t, func() bool {
		return strings.Contains(l.output(), "has ended; it goes on") && !strings.Contains(r.status(), `"waits"`)
	}, 30*time.Second, 100*time.Millisecond)
	r.equalAll()
	l.stop()
}
