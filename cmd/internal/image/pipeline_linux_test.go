package image

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/config"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/docker/oracle"
)

// lockThread keeps the goroutine's thread, which the death signal of its children is tied to.
func lockThread() { runtime.LockOSThread() }

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTheStackOfComposeIsAPipeline starts every part as compose.yaml says, except for addresses and folders: real
// Postgres with its settings and init.sql, Apache Kafka from its environment, ClickHouse with users.xml, the image's
// binary as the image's user, with dirtbike.yaml. The registry alone is another one. Rows that are there, and rows that
// come, must be equal; the health check must pass, and Prometheus' token open /metrics.
func TestTheStackOfComposeIsAPipeline(t *testing.T) {
	embeddedtest.Tools(t, "npm")
	p := stack(t)
	engines := startEngines(t, p)
	secrets := secretFiles(t, engines)
	initDatabase(t, p, engines, secrets)
	useUsers(t, p, engines, secrets)
	dir := writeConfig(t, engines, secrets, startKafka(t, p.Services["kafka"]))

	pipeline := background(t, nobody(t.Context(), t, dir, append(command(t), "--listen", "127.0.0.1:0")...))
	verb := func(args ...string) {
		t.Helper()
		code, out, errs := asNobody(t, dir, args...)
		require.Zero(t, code, "%s%s", out, errs)
	}
	verb("wait", "--timeout", "60s")
	requireEqual(t, engines, secrets)
	source, err := pgx.Connect(t.Context(), engines.Postgres.DatabaseURL("clinic"))
	require.NoError(t, err)
	defer source.Close(context.Background())
	_, err = source.Exec(t.Context(), "UPDATE public.visits SET charge = charge + 1 WHERE visit_id < 50; DELETE FROM public.visits WHERE visit_id > 90; INSERT INTO public.patients (mrn, name, born) VALUES ('M-0004', 'Dee Example', '1977-07-07')")
	require.NoError(t, err)
	verb("wait", "--timeout", "60s")
	requireEqual(t, engines, secrets)
	verb("verify")
	check := p.Services["dirtbike"].HealthCheck.Test
	require.Equal(t, []string{"CMD", "dirtbike"}, check[:2])
	verb(check[2:]...)
	requireScraped(t, pipeline.log.String(), secrets["ops_token"])
	requireNothingWritten(t, dir, pipeline.command.Process.Pid)
}

// command is what the image runs.
func command(t *testing.T) []string {
	t.Helper()
	return last(dockerfile(t), "cmd")
}

// startEngines starts Postgres with the settings of compose.yaml, ClickHouse and a registry.
func startEngines(t *testing.T, p *project) *embedded.Stack {
	t.Helper()
	settings := map[string]string{}
	for _, arg := range p.Services["postgres"].Command[1:] {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "-c"), "=")
		require.True(t, ok, arg)
		settings[name] = value
	}
	require.Equal(t, "logical", settings["wal_level"])
	require.NotEmpty(t, settings["max_slot_wal_keep_size"])
	major := strings.TrimPrefix(p.Services["postgres"].Image, "postgres:")[:2]
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(built, "")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s, err := embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(dir, "stack"), PostgresVersion: major, PostgresSettings: settings,
		Parts: embedded.Parts{Postgres: true, ClickHouse: true, Registry: true},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})
	return s
}

// secretFiles makes the secrets with the script. ClickHouse's is the one that the embedded server waits for.
func secretFiles(t *testing.T, s *embedded.Stack) map[string]string {
	t.Helper()
	dir, err := os.MkdirTemp(built, "")
	require.NoError(t, err)
	script := filepath.Join(dir, "secrets.sh")
	require.NoError(t, os.WriteFile(script, []byte(read(t, "secrets.sh")), 0o700))
	secrets := makeSecrets(t, script)
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Join(dir, "secrets"), 0o755)) // a container sees the files, but not their folder
	at, err := url.Parse(s.ClickHouse.HTTPURL())
	require.NoError(t, err)
	password, _ := at.User.Password()
	file := filepath.Join(dir, "secrets", "clickhouse")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(file, []byte(password), 0o444))
	secrets["clickhouse"], secrets["dir"] = password, filepath.Join(dir, "secrets")
	return secrets
}

// initDatabase runs init.sql as the image's entry does: once, as superuser, in the new database.
func initDatabase(t *testing.T, p *project, s *embedded.Stack, secrets map[string]string) {
	t.Helper()
	database := *p.Services["postgres"].Environment["POSTGRES_DB"]
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), database))
	conn, err := pgx.Connect(t.Context(), s.Postgres.DatabaseURL(database))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	sql := strings.ReplaceAll(read(t, "postgres/init.sql"), "/run/secrets", secrets["dir"])
	_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// useUsers starts ClickHouse again with users as the image has them: what its entry writes, and users.xml.
func useUsers(t *testing.T, p *project, s *embedded.Stack, secrets map[string]string) {
	t.Helper()
	require.NoError(t, s.ClickHouse.Stop(t.Context()))
	dir := filepath.Dir(s.ClickHouse.DataDir())
	require.NoError(t, os.Mkdir(filepath.Join(dir, "users.d"), 0o755))
	user := *p.Services["clickhouse"].Environment["CLICKHOUSE_USER"]
	hash := sha256.Sum256([]byte(secrets["clickhouse"]))
	for name, text := range map[string]string{
		// the library's own session is user default, so that it cannot be removed as the image does
		"users.xml": `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
			<quota>default</quota><grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT CREATE TEMPORARY TABLE ON *.*</query></grants></default></users></clickhouse>`,
		"users.d/default-user.xml": fmt.Sprintf(`<clickhouse><users><%[1]s><profile>default</profile><networks><ip>::/0</ip></networks><password_sha256_hex>%[2]s</password_sha256_hex>
			<quota>default</quota><access_management>0</access_management></%[1]s></users></clickhouse>`, user, hex.EncodeToString(hash[:])),
		"users.d/dirtbike.xml": read(t, "clickhouse/users.xml"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	require.NoError(t, s.ClickHouse.Start(t.Context()))
	grants := askClickHouse(t, s, "SHOW GRANTS")
	require.Contains(t, grants, " ON clinic_raw.* TO "+user)
	require.NotContains(t, grants, "GRANT ALL")
}

// askClickHouse asks over HTTP as the pipeline's user.
func askClickHouse(t *testing.T, s *embedded.Stack, sql string) string {
	t.Helper()
	response, err := http.Post(s.ClickHouse.HTTPURL(), "text/plain", strings.NewReader(sql))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
	return string(body)
}

// writeConfig writes dirtbike.yaml with other addresses into a folder that cannot be written any more.
func writeConfig(t *testing.T, s *embedded.Stack, secrets map[string]string, broker string) string {
	t.Helper()
	dir := unwritable(t)
	text := read(t, "dirtbike.yaml")
	for from, to := range map[string]string{
		"@postgres:5432/":                      fmt.Sprintf("@127.0.0.1:%d/", s.Postgres.Port()),
		`"kafka:9092"`:                         `"` + broker + `"`,
		"http://registry:8080/apis/ccompat/v7": s.Registry.URL(),
		"@clickhouse:9000":                     fmt.Sprintf("@127.0.0.1:%d", s.ClickHouse.Port()),
		"/run/secrets":                         secrets["dir"],
	} {
		require.Contains(t, text, from)
		text = strings.ReplaceAll(text, from, to)
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "dirtbike.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o444))
	require.NoError(t, os.Chmod(dir, 0o555))
	loaded, err := config.Load(path)
	require.NoError(t, err)
	require.NotNil(t, loaded.Privacy)
	return dir
}

// requireEqual compares what is published, row by row, by code that shares nothing with the pipeline.
func requireEqual(t *testing.T, s *embedded.Stack, secrets map[string]string) {
	t.Helper()
	report, err := oracle.CompareAll(t.Context(), s.Postgres.DatabaseURL("clinic"), s.ClickHouse.URL(), "clinic", oracleOptions(t, secrets))
	require.NoError(t, err)
	require.True(t, report.Equal(), "%s", report)
}

// oracleOptions says what dirtbike.yaml makes of the patients.
func oracleOptions(t *testing.T, secrets map[string]string) oracle.Options {
	t.Helper()
	key, err := hex.DecodeString(secrets["hash_key"])
	require.NoError(t, err)
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write([]byte(text)) // it never fails
		return h.Sum(nil)
	}
	tokens := "CASE mrn"
	for n := 1; n <= 4; n++ {
		mrn := fmt.Sprintf("M-%04d", n)
		tokens += fmt.Sprintf(" WHEN '%s' THEN 'k1:%x'", mrn, mac(mac(key, "domain:mrn"), mrn))
	}
	return oracle.Options{Tables: map[string]oracle.Table{"public.patients": {
		Drop: []string{"ssn"},
		Expr: map[string]string{
			"mrn": tokens + " END", "name": "'***'::text", "zip": "left(zip, 3)",
			"born": "greatest(extract(year FROM born), extract(year FROM current_date - interval '90 years'))::int",
		},
		Exact: map[string]string{"born": "NULL::text"}, // no date is infinite
	}}}
}

// requireScraped: /metrics answers a request with the token.
func requireScraped(t *testing.T, log, token string) {
	t.Helper()
	_, rest, found := strings.Cut(log, "Health and metrics at ")
	require.True(t, found, "%s", log)
	address, _, _ := strings.Cut(rest, "\n")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/metrics", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, string(body), "dirtbike_load_rows_total{")
}

// requireNothingWritten: a read-only file system is enough. The pipeline has no file open, and its folder is as it was.
func requireNothingWritten(t *testing.T, dir string, pid int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	open := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err = os.ReadDir(open)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(open, entry.Name()))
		if os.IsNotExist(err) {
			continue // closed by now
		}
		require.NoError(t, err)
		require.Regexp(t, `^(socket:|pipe:|anon_inode:|/dev/null$|/sys/|/proc/)`, target)
	}
}
