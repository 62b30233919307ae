package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// rightsSchema belongs to a role that is no superuser. One table hides its rows from roles without BYPASSRLS.
const rightsSchema = `
CREATE ROLE clinic_owner;
GRANT CREATE ON DATABASE clinic TO clinic_owner;
GRANT CREATE ON SCHEMA public TO clinic_owner;
SET ROLE clinic_owner;
CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text NOT NULL, ssn text, name text, zip text, born date, note text);
INSERT INTO public.patients SELECT g, 'M' || g, 'S' || g, 'N' || g, '90210', '1970-01-01', repeat('n', 3000) FROM generate_series(1, 50) g;
CREATE TABLE public.audit_log (id int PRIMARY KEY);
CREATE SCHEMA billing;
CREATE TABLE billing.claims (claim_id bigint PRIMARY KEY, paid numeric(12,2) NOT NULL);
INSERT INTO billing.claims SELECT g, g FROM generate_series(1, 50) g;
ALTER TABLE billing.claims ENABLE ROW LEVEL SECURITY;`

// TestRights runs the pipeline with the rights of OPERATIONS.md and no others, once with a publication that the tables'
// owner makes, and once, after everything has been removed as OPERATIONS.md says, as a member of the owner.
func TestRights(t *testing.T) {
	r := newRightsRig(t)
	r.run(r.block("sql", "CREATE ROLE dirtbike"), r.block("sql", "ALTER ROLE dirtbike BYPASSRLS"))
	r.run("SET ROLE clinic_owner;\n", r.block("sql", "CREATE PUBLICATION"), r.block("sql", "REPLICA IDENTITY"))
	r.pipelineIsGood("clinic")
	r.copyAgain("clinic")
	r.readerSeesOnlyViews()

	r.run(r.block("sql", "DROP ROLE dirtbike"))
	for _, statement := range rightsStatements(r.block("sql clickhouse", "DROP DATABASE")) {
		require.NoError(t, r.ch().Exec(t.Context(), statement))
	}
	r.run(r.block("sql", "CREATE ROLE dirtbike"), "GRANT clinic_owner TO dirtbike;\n")
	r.pipelineIsGood("again")
}

// rightsRig is a pipeline on a stack of its own, since roles and users belong to whole servers.
type rightsRig struct {
	*rig
	documents string // that have the statements and the config
}

func newRightsRig(t *testing.T) *rightsRig {
	t.Helper()
	embeddedtest.Tools(t, "npm")
	r := &rightsRig{
		rig:       &rig{T: t, stack: embeddedtest.Start(t, embedded.Options{}), dir: t.TempDir(), name: "clinic", ports: map[string]string{}},
		documents: documentText(t, readmeFile) + documentText(t, operationsFile),
	}
	require.NoError(t, r.stack.Postgres.CreateDatabase(t.Context(), r.name))
	r.url = r.stack.Postgres.DatabaseURL(r.name)
	t.Cleanup(r.cleanup)
	r.exec(rightsSchema)
	r.makeClickHouseUsers()
	return r
}

// block gives the documents' one block of a kind that holds a text.
func (r *rightsRig) block(kind, holds string) string {
	r.Helper()
	return documentBlock(r, r.documents, kind, holds)
}

// rightsStatements splits a block; each statement ends with its line.
func rightsStatements(block string) []string {
	return strings.Split(strings.TrimSuffix(block, ";\n"), ";\n")
}

// run runs blocks as the superuser, on one connection, statement by statement: ALTER SYSTEM cannot be in a transaction.
func (r *rightsRig) run(blocks ...string) {
	r.Helper()
	conn := r.pg()
	for _, block := range blocks {
		for _, statement := range rightsStatements(block) {
			_, err := conn.Exec(r.Context(), statement)
			require.NoError(r, err, statement)
		}
	}
}

// The statements that make users. The embedded server's own user is called dirtbike, too, so those of OPERATIONS.md get
// a prefix.
var (
	createUser = regexp.MustCompile(`^CREATE USER (\w+) IDENTIFIED BY '([\w-]+)'$`)
	grantRight = regexp.MustCompile(`^GRANT ([\w .,*]+) TO (\w+)$`)
)

const rightsPrefix = "documents_"

// makeClickHouseUsers gives the users of OPERATIONS.md to ClickHouse. The embedded library has no writable user storage
// (CREATE USER is refused with ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND), but takes the same GRANT statements from its
// users file. It is configured as strictly as a server can be.
func (r *rightsRig) makeClickHouseUsers() {
	r.Helper()
	passwords, grants, users := map[string]string{}, map[string]string{}, ""
	for _, statement := range rightsStatements(r.block("sql clickhouse", "CREATE USER")) {
		if m := createUser.FindStringSubmatch(statement); m != nil {
			passwords[m[1]] = m[2]
			continue
		}
		m := grantRight.FindStringSubmatch(statement)
		require.NotNil(r, m, "neither CREATE USER nor GRANT: %s", statement)
		grants[m[2]] += "<query>GRANT " + m[1] + "</query>"
	}
	for user, password := range passwords {
		require.NotEmpty(r, grants[user], "a user without grants would hold every right")
		users += fmt.Sprintf("<%[1]s><password>%[2]s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>"+
			"<quota>default</quota><grants>%[3]s</grants></%[1]s>\n", rightsPrefix+user, password, grants[user])
	}
	home := filepath.Dir(r.stack.ClickHouse.DataDir())
	insertBefore(r, filepath.Join(home, "users.xml"), "</users>", users)
	insertBefore(r, filepath.Join(home, "config.xml"), "</clickhouse>", `<access_control_improvements>
  <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  <table_engines_require_grant>true</table_engines_require_grant>
</access_control_improvements>
`)
	require.NoError(r, r.stack.ClickHouse.Restart(r.Context()))
}

func insertBefore(r *rightsRig, file, mark, text string) {
	r.Helper()
	content, err := os.ReadFile(file)
	require.NoError(r, err)
	before, after, found := strings.Cut(string(content), mark)
	require.True(r, found, "%s in %s", mark, file)
	require.NoError(r, os.WriteFile(file, []byte(before+text+mark+after), 0o600))
}

// password gives what a statement of the documents sets.
func (r *rightsRig) password(statement string) string {
	r.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(statement) + ` '([^']+)'`).FindStringSubmatch(r.documents)
	require.NotNil(r, m, statement)
	return m[1]
}

// configure writes the README's own configuration with the addresses of this stack, a prefix for the topics, and more
// globs.
func (r *rightsRig) configure(prefix string, tables ...string) {
	r.Helper()
	r.Setenv("PGPASSWORD", r.password("CREATE ROLE dirtbike LOGIN REPLICATION PASSWORD"))
	r.Setenv("CLICKHOUSE_PASSWORD", r.password("CREATE USER dirtbike IDENTIFIED BY"))
	server, err := url.Parse(r.stack.Postgres.URL())
	require.NoError(r, err)
	text := r.block("yaml", "privacy:")
	for old, now := range map[string]string{
		"@db:5432": "@" + server.Host, "kafka:9092": strings.Join(r.stack.Kafka.Brokers(), `", "`), "http://registry:8081": r.stack.Registry.URL(),
		"clickhouse://dirtbike:": "clickhouse://" + rightsPrefix + "dirtbike:", "@ch:9000": fmt.Sprintf("@127.0.0.1:%d", r.stack.ClickHouse.Port()),
		"prefix: clinic": "prefix: " + prefix, `"!public.audit_*"`: strings.Join(append(tables, `"!public.audit_*"`), ", "),
	} {
		require.Equal(r, 1, strings.Count(text, old), old)
		text = strings.Replace(text, old, now, 1)
	}
	r.config = filepath.Join(r.dir, prefix+".yaml")
	require.NoError(r, os.WriteFile(r.config, []byte(text), 0o600))
}

// pipelineIsGood runs both legs over a copy and over changes of each kind, and asks every verb. NaN in a column that is
// NOT NULL makes load alter it.
func (r *rightsRig) pipelineIsGood(prefix string) {
	r.Helper()
	r.configure(prefix)
	l := r.start("run")
	r.wait()
	r.exec(`INSERT INTO public.patients SELECT max(patient_id) + 1, 'M', 'S', 'N', NULL, NULL, NULL FROM public.patients;
		UPDATE public.patients SET name = 'changed' WHERE patient_id = 2; UPDATE public.patients SET patient_id = 1000 + patient_id WHERE patient_id = 3;
		DELETE FROM public.patients WHERE patient_id = 4; TRUNCATE billing.claims; INSERT INTO billing.claims VALUES (1000, 1), (1001, 'NaN')`)
	r.exec(`UPDATE public.patients SET patient_id = patient_id - 1000 WHERE patient_id = 1003`)
	r.endGood(l)
	r.login()
}

// copyAgain leaves a table out and names it again, so that a second generation takes the first one's place.
func (r *rightsRig) copyAgain(prefix string) {
	r.Helper()
	r.configure(prefix, `"!public.patients"`)
	l := r.start("run")
	r.wait()
	l.stop()
	r.configure(prefix)
	r.endGood(r.start("run"))
	var generations []string
	query := "SELECT groupArray(name) FROM system.tables WHERE database = 'clinic_raw' AND name LIKE 'patients%'"
	require.NoError(r, r.ch().QueryRow(r.Context(), query).Scan(&generations))
	require.Equal(r, []string{"patients__g2"}, generations)
}

// endGood asks every verb and ends the legs.
func (r *rightsRig) endGood(l *process) {
	r.Helper()
	for _, verb := range [][]string{{"wait", "--timeout", "60s"}, {"verify"}, {"status"}} {
		code, out, errs := r.verb(verb...)
		require.Zero(r, code, "%v: %s%s", verb, out, errs)
	}
	l.stop()
	require.NotRegexp(r, `(?i)denied|permission|privilege`, l.output(), "a right is missing")
}

// login makes sure that the pipeline's role was no superuser.
func (r *rightsRig) login() {
	r.Helper()
	server, err := pgx.ParseConfig(r.url)
	require.NoError(r, err)
	server.User, server.Password = "dirtbike", os.Getenv("PGPASSWORD")
	conn, err := pgx.ConnectConfig(r.Context(), server)
	require.NoError(r, err)
	defer conn.Close(r.Context()) // nothing is open on it
	var super string
	require.NoError(r, conn.QueryRow(r.Context(), "SHOW is_superuser").Scan(&super))
	require.Equal(r, "off", super)
}

// readerSeesOnlyViews asks as the user for people: also what VIEWS.md asks.
func (r *rightsRig) readerSeesOnlyViews() {
	r.Helper()
	for _, block := range documentBlocks(documentText(r, viewsFile), "sql clickhouse") {
		for _, statement := range rightsStatements(block) {
			code, answer := r.asReader(statement)
			require.Equal(r, http.StatusOK, code, "%s: %s", statement, answer)
		}
	}
	for sql, allowed := range map[string]bool{
		"SELECT patient_id FROM clinic.patients WHERE patient_id = 2":               true,
		"SELECT claim_id FROM clinic.billing_claims":                                true,
		"SELECT exact FROM clinic.complete_up_to":                                   true,
		"SELECT patient_id FROM clinic_raw.patients__g2":                            false,
		"SELECT * FROM clinic_raw.applied":                                          false,
		"INSERT INTO clinic_raw.applied (topic) VALUES ('x')":                       false,
		"CREATE TABLE clinic.mine (x UInt8) ENGINE = ReplacingMergeTree ORDER BY x": false,
	} {
		code, answer := r.asReader(sql)
		if allowed {
			require.Equal(r, http.StatusOK, code, "%s: %s", sql, answer)
			require.NotEmpty(r, answer, sql)
			continue
		}
		require.Contains(r, answer, "ACCESS_DENIED", sql)
	}
}

// asReader uses HTTP: a failed login on the native port would end the embedded server.
func (r *rightsRig) asReader(sql string) (code int, answer string) {
	r.Helper()
	server, err := url.Parse(r.stack.ClickHouse.HTTPURL())
	require.NoError(r, err)
	server.User = nil
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, server.String(), strings.NewReader(sql))
	require.NoError(r, err)
	request.SetBasicAuth(rightsPrefix+"reporting", r.password("CREATE USER reporting IDENTIFIED BY"))
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return response.StatusCode, string(body)
}
