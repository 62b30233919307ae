package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/status"
	"dirtbike/docker/embedded/embeddedtest"
)

// get asks an ops endpoint.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	code, body, err := tryGet(address, path)
	require.NoError(t, err)
	return code, body
}

func tryGet(address, path string) (int, string, error) {
	client := http.Client{Timeout: 20 * time.Second}
	response, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), errors.Join(err, response.Body.Close())
}

// ready waits until /readyz?verbose answers code and every given line; at first it may not be served yet.
func ready(t *testing.T, address string, code int, lines ...string) {
	t.Helper()
	var got struct {
		code int
		body string
		err  error
	}
	require.Eventually(t, func() bool {
		got.code, got.body, got.err = tryGet(address, "/readyz?verbose")
		for _, line := range lines {
			if !strings.Contains(got.body, line) {
				return false
			}
		}
		return got.code == code
	}, 60*time.Second, 200*time.Millisecond, "want %d and %q, got %+v", code, lines, &got)
}

// TestOps asks a running pipeline as its operators do, also while its parts do not answer.
func TestOps(t *testing.T) {
	r := newRig(t, rigOptions{sourceYAML: ", wal_disk: 100GB"}, smallSchema)
	r.start("run")
	r.wait()
	at := r.listens("run")
	t.Run("readyz", func(t *testing.T) {
		ready(t, at, 200)
		_, body := get(t, at, "/readyz?verbose")
		require.Contains(t, body, "[+]privacy ok: 2 columns that nobody named leave")
		body = regexp.MustCompile(`(?m) ok: .*$`).ReplaceAllString(body, " ok")
		require.Equal(t, "[+]clickhouse ok\n[+]slot ok\n[+]capture ok\n[+]tables ok\n[+]exact ok\n[+]privacy ok\n[+]encryption ok\n[+]kafka ok\n[+]horizon ok\n[+]load ok\nreadyz check passed\n", body)
		for i, line := range strings.Split(body, "\n")[:len(checks.Groups()[0].Checks)] {
			require.Equal(t, "[+]"+checks.Groups()[0].Checks[i].Slug+" ok", line, "every check that is served is explained, in the same order")
		}
	})
	t.Run("status", func(t *testing.T) { statusContract(t, r, at) })
	t.Run("metrics", func(t *testing.T) { metricsContract(t, at) })
	t.Run("promtool", func(t *testing.T) { promtoolAccepts(t, at) })
	t.Run("locked table", func(t *testing.T) { // as by ALTER TABLE or VACUUM FULL
		conn := r.pg()
		_, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE`)
		require.NoError(t, err)
		code, out, errs := r.verb("status")
		require.Zero(t, code, "%s%s", out, errs)
		code, out, errs = r.verb("wait", "--timeout", "10s")
		require.Zero(t, code, "%s%s", out, errs)
		ready(t, at, 200)
		_, err = conn.Exec(t.Context(), `ROLLBACK`)
		require.NoError(t, err)
	})
	t.Run("clickhouse away", func(t *testing.T) {
		require.NoError(t, r.stack.ClickHouse.Kill())
		back := func() { require.NoError(t, r.stack.ClickHouse.Start(context.Background())) }
		defer func() { back() }()
		r.exec(`INSERT INTO things VALUES (500, 'while ClickHouse is away')`)
		ready(t, at, 503, "[-]clickhouse failed: ", ". Changes wait in Kafka. Try: see that ClickHouse runs and clickhouse.url is right (dirtbike explain clickhouse)\n", "[+]slot ok", "[+]capture ok", "[+]kafka ok", "readyz check failed")
		code, body := get(t, at, "/livez")
		require.Equal(t, 200, code, body)
		require.Eventually(t, func() bool { // an answer from before the kill is used for a moment
			code, body = get(t, at, "/status")
			return code == 503
		}, 10*time.Second, 50*time.Millisecond)
		var s status.Status
		require.NoError(t, json.Unmarshal([]byte(body), &s))
		require.Regexp(t, "^ask ClickHouse for the status: .* Try: ", s.Missing[0])
		require.NotNil(t, s.RetainedWALBytes)
		require.NotNil(t, s.Privacy)
		require.Equal(t, "public.things", s.Tables[0].Table)
		require.Zero(t, *scrape(t, at)["dirtbike_status_up"].Metric[0].Gauge.Value)
		code, _, errs := r.verb("status")
		require.Equal(t, exitUnreachable, code, errs)
		back()
		back = func() {}
		ready(t, at, 200)
	})
	t.Run("kafka away", func(t *testing.T) {
		require.NoError(t, r.stack.Kafka.Kill())
		back := func() { require.NoError(t, r.stack.Kafka.Start(context.Background())) }
		defer func() { back() }()
		ready(t, at, 503, "[-]kafka failed: ", ". What was committed is safe. Try: look at the brokers named in kafka.brokers (dirtbike explain kafka)\n", "[+]clickhouse ok")
		code, body := get(t, at, "/livez")
		require.Equal(t, 200, code, body)
		back()
		back = func() {}
		r.exec(`INSERT INTO things VALUES (501, 'after Kafka came back')`)
		r.wait()
		ready(t, at, 200)
	})
	r.equalAll()
}

// statusContract: /status and the verb's --json are the same documented form.
func statusContract(t *testing.T, r *rig, at string) {
	code, body := get(t, at, "/status")
	require.Equal(t, 200, code)
	exit, printed, errs := r.verb("status", "--json")
	require.Zero(t, exit, errs)
	for _, text := range []string{body, printed} {
		var s status.Status
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&s))
		require.Equal(t, "streaming", s.Phase)
		require.NotNil(t, s.LagBytes)
		require.NotNil(t, s.LagSeconds)
		require.Positive(t, *s.RetainedWALBytes)
		require.Equal(t, []status.TableStatus{{Table: "public.things", Phase: "streaming", Rows: 100, RowsEstimated: true, Exact: true}}, s.Tables)
		require.Equal(t, "source.wal_disk", s.WALLimit)
		require.EqualValues(t, 100_000_000_000-*s.RetainedWALBytes, *s.WALLeftBytes)
		for _, key := range []string{"phase", "lag_bytes", "lag_seconds", "retained_wal_bytes", "wal_limit", "wal_left_bytes", "wal_left_hours", "tables", "table", "rows", "exact", "dead_letters", "reason"} {
			require.Contains(t, text, `"`+key+`"`)
		}
	}
	exit, printed, errs = r.verb("status")
	require.Zero(t, exit, errs)
	require.Regexp(t, `^phase streaming · ClickHouse is .* behind · Postgres keeps .* of log for the slot · [^\n]+ (below|until) source\.wal_disk\n`, printed)
	require.Regexp(t, `│ public.things │ streaming │ ~100 │ yes   │ `, printed)
}

// scrape parses /metrics as Prometheus would.
func scrape(t *testing.T, at string) map[string]*dto.MetricFamily {
	t.Helper()
	code, body := get(t, at, "/metrics")
	require.Equal(t, 200, code)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(t, err)
	return families
}

// metricsContract: names, base units and help texts; what each means is in METRICS.md, which another test compares.
func metricsContract(t *testing.T, at string) {
	families := scrape(t, at)
	page, err := os.ReadFile("../internal/endpoints/METRICS.md")
	require.NoError(t, err)
	var ours []*dto.MetricFamily
	for name, family := range families {
		require.NotEmpty(t, family.GetHelp(), name)
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		require.True(t, strings.HasPrefix(name, "dirtbike_"), name)
		require.Contains(t, string(page), "| `"+name+"` |")
		ours = append(ours, family)
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	require.EqualValues(t, 1, *families["dirtbike_status_up"].Metric[0].Gauge.Value)
	require.EqualValues(t, 1, *families["dirtbike_slot_active"].Metric[0].Gauge.Value)
	require.EqualValues(t, 1, *families["dirtbike_table_exact"].Metric[0].Gauge.Value)
	require.Contains(t, families, "dirtbike_capture_records_total")
	require.Contains(t, families, "dirtbike_kafka_commits_total")
	require.Contains(t, families, "dirtbike_load_rows_total")
}

// rarely are the metrics that a healthy pipeline without max_slot_wal_keep_size, and without foreign writers, lacks.
var rarely = []string{
	"dirtbike_slot_safe_wal_bytes", "dirtbike_slot_left_seconds", "dirtbike_capture_table_quarantined", "dirtbike_load_foreign_records_total",
}

// promtoolAccepts lets Prometheus' own tool check a scrape that has every documented metric: it must find nothing.
func promtoolAccepts(t *testing.T, at string) {
	promtool := embeddedtest.Tool(t, "promtool")
	page, err := os.ReadFile("../internal/endpoints/METRICS.md")
	require.NoError(t, err)
	families := scrape(t, at)
	named := regexp.MustCompile("(?m)^\\| `(dirtbike_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(named), 30)
	for _, m := range named {
		if !slices.Contains(rarely, m[1]) {
			require.Contains(t, families, m[1])
		}
	}
	require.NotContains(t, families, "dirtbike_slot_safe_wal_bytes", "without a limit of Postgres'")
	_, body := get(t, at, "/metrics")
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(body)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
	check = exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(body + "# TYPE dirtbike_bad counter\ndirtbike_bad 1\n")
	require.Error(t, check.Run(), "it finds what is wrong")
}

// saysWhatIsKnown: status shows what the servers that answer say; the other verbs have no answer.
func saysWhatIsKnown(t *testing.T, verb, out string) {
	t.Helper()
	if verb != "status" {
		require.Empty(t, out)
		return
	}
	require.Regexp(t, "^phase unknown · (Postgres|ClickHouse) did not answer: ", out)
}

// TestExitCodesWhenPartsAreAway runs the verbs that need an answer against ports on which no process listens.
func TestExitCodesWhenPartsAreAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	for _, part := range []struct{ name, url string }{{"Postgres", r.url}, {"ClickHouse", r.stack.ClickHouse.URL()}} {
		dead := r.withPart(part.name, part.url, embeddedtest.FreeAddress(t))
		for _, verb := range [][]string{{"status"}, {"wait", "--timeout", "5s"}, {"verify"}} {
			t.Run(part.name+" "+verb[0], func(t *testing.T) {
				code, out, errs := verbWith(t, dead, verb...)
				require.Equal(t, exitUnreachable, code, errs)
				saysWhatIsKnown(t, verb[0], out)
				require.Regexp(t, "^Error: [^\n]+\nTry: [^\n]+\n$", errs)
				require.Contains(t, errs, part.name)
				require.NotContains(t, errs, "password")
			})
		}
	}
	code, _, errs := r.verb("status") // where the parts run and the addresses are right
	require.Equal(t, exitNo, code, errs)
	require.Contains(t, errs, "Try: dirtbike run, then dirtbike wait\n")
	r.start("run")
	r.wait()
	for _, verb := range []string{"status", "wait", "verify"} {
		code, _, errs = r.verb(verb)
		require.Equal(t, exitGood, code, errs)
	}
}

// withPart writes the rig's config with another address in the place of a part's.
func (r *rig) withPart(name, url, address string) string {
	r.Helper()
	whole, err := os.ReadFile(r.config)
	require.NoError(r, err)
	at := url[strings.Index(url, "@")+1:]
	at = at[:strings.IndexAny(at+"/", "/?")]
	path := filepath.Join(r.dir, name+".yaml")
	require.NoError(r, os.WriteFile(path, []byte(strings.ReplaceAll(string(whole), at, address)), 0o600))
	return path
}

// listening takes connections and gives each to answer, which may keep it.
func listening(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			answer(conn)
		}
	}()
	return l.Addr().String()
}

// TestVerbsSayThatALoginIsRefused with one answer; a server that only hangs up is unreachable.
func TestVerbsSayThatALoginIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	refuses := listening(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte("\x02\x04\x02\x00\x00\x0dDB::Exception\x06nobody\x00\x00")) // 516
		_ = conn.Close()
	})
	hangsUp := listening(t, func(conn net.Conn) { _ = conn.Close() })
	for _, verb := range [][]string{{"status"}, {"wait", "--timeout", "2s"}, {"verify"}} {
		t.Run(verb[0], func(t *testing.T) {
			code, out, errs := verbWith(t, r.withPart("refuses", r.stack.ClickHouse.URL(), refuses), verb...)
			require.Equal(t, exitWrong, code, errs)
			saysWhatIsKnown(t, verb[0], out)
			require.Contains(t, errs, proto.ErrAuthenticationFailed.Error())
			require.Regexp(t, "^Error: [^\n]+\nTry: [^\n]+\n$", errs)
			code, out, errs = verbWith(t, r.withPart("hangsup", r.stack.ClickHouse.URL(), hangsUp), verb...)
			require.Equal(t, exitUnreachable, code, errs)
			saysWhatIsKnown(t, verb[0], out)
			require.Regexp(t, "^Error: [^\n]+\nTry: [^\n]+\n$", errs)
			require.NotContains(t, errs, "handshake")
			require.NotContains(t, errs, "conn_id")
		})
	}
}

// TestStatusOfASilentServer: the verb ends in time and names the part.
func TestStatusOfASilentServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	silent := listening(t, func(conn net.Conn) { t.Cleanup(func() { _ = conn.Close() }) }) // one that is not kept is closed by the collector
	for name, url := range map[string]string{"Postgres": r.url, "ClickHouse": r.stack.ClickHouse.URL()} {
		config := r.withPart(name, url, silent)
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits, for the verb's own deadline
			began := time.Now()
			code, out, errs := verbWith(t, config, "status")
			require.Equal(t, exitUnreachable, code, errs)
			saysWhatIsKnown(t, "status", out)
			require.Regexp(t, "^Error: ask "+name+" [^\n]+ "+name+" hangs: nothing within [^\n]+s\\.\nTry: see that "+name+" runs and [a-z]+\\.url is right\n$", errs)
			require.Less(t, time.Since(began), statusTime+5*time.Second)
		})
	}
}

// TestOpsSaysThatTheRegistryIsAway, in the log and at /readyz, while capture tries again.
func TestOpsSaysThatTheRegistryIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	r.config = r.withPart("noregistry", strings.Replace(r.stack.Registry.URL(), "http://", "@", 1), "127.0.0.1:1")
	l := r.start("run")
	at := r.listens("run")
	says := "the registry cannot be reached: "
	require.Eventually(t, func() bool { return strings.Contains(l.output(), says) }, 15*time.Second, 50*time.Millisecond)
	ready(t, at, 503, "[-]capture failed: ", says, "127.0.0.1:1", "Try: check that registry.url is right and the registry runs")
	require.True(t, l.running())
}

// TestStatusBeforeAnything asks before a first start: there is nothing to be exact.
func TestStatusBeforeAnything(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema)
	code, out, errs := r.verb("status")
	require.Equal(t, exitNo, code)
	legs, leaves, _ := strings.Cut(out, "\n")
	require.Equal(t, "phase none · ClickHouse is not complete up to anything yet · there is no slot", legs)
	require.NotEmpty(t, leaves, "the columns that will leave are known already")
	require.Equal(t, "Error: ClickHouse has no table yet.\nTry: dirtbike run, then dirtbike wait\n", errs)
}

// TestVersion prints one line.
func TestVersion(t *testing.T) {
	var out strings.Builder
	require.Zero(t, execute(t.Context(), []string{"version"}, &out, io.Discard, nil))
	require.Regexp(t, `^dirtbike \S+, commit \S+, go1\.\S+\n$`, out.String())
}

// verbWith runs one verb with another config file.
func verbWith(t *testing.T, config string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = execute(t.Context(), append(args, "--config", config), &out, &errs, nil)
	short := strings.NewReplacer(" --config "+config, "") // printed commands, as in rig.short
	return code, short.Replace(out.String()), short.Replace(errs.String())
}
