package endpoints

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/status"
)

// serve runs a server for the length of the test and gives a function that asks it.
func serve(t *testing.T, checks []status.Check, ask func(context.Context) (status.Status, error), change ...func(*Server)) func(path string) (int, string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dirtbike_test_total", Help: "A test."}, func() float64 { return 3 }))
	s, err := New("127.0.0.1:0", checks, ask, registry)
	require.NoError(t, err)
	for _, c := range change {
		c(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return func(path string) (int, string) {
		response, err := http.Get("http://" + s.Addr() + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, errors.Join(err, response.Body.Close()))
		return response.StatusCode, string(body)
	}
}

func good(context.Context) error { return nil }

func bad(context.Context) error {
	return errors.New("connection refused. Try: start it")
}

func away(context.Context) error { return io.EOF }

func TestReadyzWhenAllIsGood(t *testing.T) {
	get := serve(t, []status.Check{{Name: "slot", Func: good}, {Name: "kafka", Func: good}}, nil)
	code, body := get("/readyz")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	_, body = get("/readyz?verbose")
	require.Equal(t, "[+]slot ok\n[+]kafka ok\nreadyz check passed\n", body)
}

// TestReadyzSaysMoreOfWhatHolds: a check that holds may add what an operator should know.
func TestReadyzSaysMoreOfWhatHolds(t *testing.T) {
	said := func(context.Context) string { return "3 columns leave" }
	get := serve(t, []status.Check{{Name: "privacy", Func: good, Note: said}, {Name: "kafka", Func: bad, Note: said}}, nil)
	_, body := get("/readyz?verbose")
	require.Equal(t, "[+]privacy ok: 3 columns leave\n[-]kafka failed: connection refused. Try: start it (dirtbike explain kafka)\nreadyz check failed\n", body)
}

func TestReadyzSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	get := serve(t, []status.Check{{Name: "slot", Func: good}, {Name: "kafka", Func: bad}, status.Reachable("clickhouse", bad), status.Reachable("registry", away)}, nil)
	code, body := get("/readyz")
	require.Equal(t, 503, code)
	require.Equal(t, "[+]slot ok\n[-]kafka failed: connection refused. Try: start it (dirtbike explain kafka)\n"+
		"[-]clickhouse failed: connection refused. Try: start it (dirtbike explain clickhouse)\n[-]registry failed: no answer: EOF. Try: see the log of this process\nreadyz check failed\n", body)
	code, body = get("/readyz?verbose&exclude=kafka&exclude=clickhouse&exclude=registry&exclude=typo")
	require.Equal(t, 200, code)
	require.Equal(t, "[+]slot ok\n[+]kafka excluded: ok\n[+]clickhouse excluded: ok\n[+]registry excluded: ok\n"+
		"warn: no check is named \"typo\", nothing excluded for it\nreadyz check passed\n", body)
}

// TestReadyzCanBeShown: an error may quote what another server said, and people read it on a terminal.
func TestReadyzCanBeShown(t *testing.T) {
	evil := func(context.Context) error { return errors.New("it says \x1b[31m\u202e. Try: start it") }
	get := serve(t, []status.Check{{Name: "kafka", Func: evil, Note: func(context.Context) string { return "\x1b]0;x\x07" }}}, nil)
	for _, path := range []string{"/readyz", "/readyz?exclude=kafka&exclude=%1b[2J"} {
		_, body := get(path)
		require.Equal(t, console.PrintableLines(body), body)
	}
}

// TestWord: what it answers to people is worded as its owner wants.
func TestWord(t *testing.T) {
	get := serve(t, []status.Check{{Name: "slot", Func: bad}}, nil, func(s *Server) {
		s.Word = func(text string) string { return strings.ReplaceAll(text, "start it", "start it now") }
	})
	_, body := get("/readyz")
	require.Contains(t, body, "Try: start it now")
}

// TestEveryCheckHasAWayOut: the collector's checks, and those that others add, say more than to read the log.
func TestEveryCheckHasAWayOut(t *testing.T) {
	unused, err := clickhouse.Open(&clickhouse.Options{}) // it connects at the first use
	require.NoError(t, err)
	c := status.NewCollector(status.Sources{ClickHouse: unused, Capture: func() capture.Status { return capture.Status{} }})
	for _, check := range append(c.Checks(), status.Check{Name: "horizon"}, status.Check{Name: "load"}) {
		p := check.Explain(io.EOF)
		require.Len(t, p.Try, 1)
		require.NotContains(t, p.Try[0].Command, "see the log", check.Name)
		require.Equal(t, []cdc.Remedy{{Command: "this"}}, check.Explain(cdc.Failed("no").Fix("this")).Try)
		require.Nil(t, check.Explain(nil))
	}
}

func TestLivezStaysGoodWhileEveryCheckFails(t *testing.T) {
	release := make(chan struct{})
	hang := func(context.Context) error { <-release; return nil }
	unknown := func(context.Context) (status.Status, error) { return status.Status{}, errors.New("Postgres is away") }
	checks := []status.Check{{Name: "slot", Func: hang}, {Name: "kafka", Func: bad}, status.Reachable("registry", hang), {Name: "x", Func: hang}}
	get := serve(t, checks, unknown)
	defer close(release)
	code, body := get("/readyz")
	require.Equal(t, 503, code)
	const late = " failed: no answer within 3s. Try: "
	require.Equal(t, "[-]slot failed: no answer within 3s. Postgres keeps the log until the slot is lost. Try: see that Postgres runs and source.url is right (dirtbike explain slot)\n"+
		"[-]kafka failed: connection refused. Try: start it (dirtbike explain kafka)\n[-]registry"+late+"see the log of this process\n"+
		"[-]x"+late+"see the log of this process\nreadyz check failed\n", body)
	code, body = get("/status")
	require.Equal(t, 503, code)
	require.Equal(t, "Postgres is away\n", body)
	code, body = get("/livez")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
}

// TestStatusOfWhatAnswers: while a part is away the answer has what the others say, and why it lacks the rest.
func TestStatusOfWhatAnswers(t *testing.T) {
	retained := int64(7)
	get := serve(t, nil, func(context.Context) (status.Status, error) {
		return status.Status{Phase: "unknown", RetainedWALBytes: &retained, Missing: []string{"ClickHouse hangs"}}, errors.New("ClickHouse hangs")
	})
	code, body := get("/status")
	require.Equal(t, 503, code)
	require.Contains(t, body, `"retained_wal_bytes": 7`)
	require.Contains(t, body, `"ClickHouse hangs"`)
}

func TestAnswersAreKept(t *testing.T) {
	runs := 0
	get := serve(t, []status.Check{{Name: "counted", Func: func(context.Context) error { runs++; return nil }}}, nil)
	get("/readyz")
	get("/readyz")
	require.Equal(t, 1, runs)
}

func TestStatusAndMetrics(t *testing.T) {
	get := serve(t, nil, func(context.Context) (status.Status, error) {
		return status.Status{Phase: "streaming", Tables: []status.TableStatus{}}, nil
	})
	code, body := get("/status")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"phase":"streaming","lag_bytes":null,"lag_seconds":null,"retained_wal_bytes":null,"wal_limit":"","wal_left_bytes":null,"wal_left_hours":null,"tables":[]}`, body)
	code, body = get("/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, "dirtbike_test_total 3\n")
	code, _ = get("/else")
	require.Equal(t, 404, code)
}

func TestAddressInUse(t *testing.T) {
	s, err := New("127.0.0.1:0", nil, nil, prometheus.NewRegistry())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.listener.Close()) }()
	_, err = New(s.Addr(), nil, nil, prometheus.NewRegistry())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.Len(t, cdc.Explain(err).Try, 2)
}
