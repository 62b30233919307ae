package preflight

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"dirtbike/config"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// The clinic that the tests look at belongs to a role that is no superuser and not ours; odd names are everyday names
// here.
const clinicSQL = `
CREATE ROLE "Clinic Owner";
GRANT CREATE ON DATABASE clinic TO "Clinic Owner";
GRANT CREATE ON SCHEMA public TO "Clinic Owner";
SET ROLE "Clinic Owner";
CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, name text, note text);
INSERT INTO public.patients SELECT g, 'M' || g, 'S' || g, 'N' || g, 'note' FROM generate_series(1, 20) g;
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."O'Hara ""x""" ("Id" int PRIMARY KEY, v text);
INSERT INTO "Odd Schema"."O'Hara ""x""" VALUES (1, 'x');
RESET ROLE;
CREATE ROLE "dirt-bike" LOGIN REPLICATION PASSWORD 'secret';
GRANT USAGE ON SCHEMA public, "Odd Schema" TO "dirt-bike";
GRANT SELECT ON ALL TABLES IN SCHEMA public, "Odd Schema" TO "dirt-bike";
SET ROLE "Clinic Owner";
CREATE PUBLICATION dirtbike FOR TABLE ONLY public.patients, ONLY "Odd Schema"."O'Hara ""x""";`

const baseConfig = `
source:
  url: %s
  tables: ["public.*", "Odd Schema.*"]
kafka: {brokers: ["%s"], prefix: clinic, partitions: 3}
registry: {url: "%s"}
clickhouse: {url: "%s", database: clinic}
privacy:
  mode: allowlist
  columns:
    public.patients: {patient_id: keep, mrn: hash, ssn: drop, name: mask, note: drop}
    "Odd Schema.O'Hara \"x\"": {Id: keep, v: keep}
ops: {listen: "127.0.0.1:0"}
`

// rig is one config, and the roles that may fix what its checks find.
type rig struct {
	*testing.T
	stack *embedded.Stack
	file  string
	// admin connects to Kafka with every right.
	admin *kadm.Client
	// jars is Apache Kafka's folder, "" for kfake; properties is admin.properties for its tools.
	jars, properties string
	// database is where SQL is run, "" for clinic.
	database string
}

// exec runs statements as the superuser, each by itself.
func (r *rig) exec(sql ...string) {
	r.Helper()
	r.inDatabase(cmp.Or(r.database, "clinic"), sql...)
}

// inDatabase runs statements as the superuser in another database than the clinic's.
func (r *rig) inDatabase(name string, sql ...string) {
	r.Helper()
	embeddedtest.Exec(r, r.stack.Postgres.DatabaseURL(name), sql...)
}

func (r *rig) superuser() *pgx.Conn {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.stack.Postgres.DatabaseURL(cmp.Or(r.database, "clinic")))
	require.NoError(r, err)
	return conn
}

// restartPostgres restarts the server, as a changed setting requires.
func (r *rig) restartPostgres() {
	r.Helper()
	require.NoError(r, r.stack.Postgres.Restart(r.Context()))
}

// set merges YAML into the config file, as a person does who follows a check.
func (r *rig) set(text string) {
	r.Helper()
	var have, more map[string]any
	raw, err := os.ReadFile(r.file)
	require.NoError(r, err)
	require.NoError(r, yaml.Unmarshal(raw, &have))
	require.NoError(r, yaml.Unmarshal([]byte(text), &more), text)
	merge(have, more)
	raw, err = yaml.Marshal(have)
	require.NoError(r, err)
	require.NoError(r, os.WriteFile(r.file, raw, 0o600))
}

func merge(into, from map[string]any) {
	for key, value := range from {
		inner, deeper := value.(map[string]any)
		was, is := into[key].(map[string]any)
		if deeper && is {
			merge(was, inner)
			continue
		}
		into[key] = value
	}
}

// kept gives the config file back as it is now once the test is over.
func (r *rig) kept() {
	r.Helper()
	raw, err := os.ReadFile(r.file)
	require.NoError(r, err)
	r.Cleanup(func() { _ = os.WriteFile(r.file, raw, 0o600) })
}

// check runs the preflight.
func (r *rig) check() Report {
	r.Helper()
	c, err := config.Load(r.file)
	require.NoError(r, err)
	report, err := Run(r.Context(), c)
	require.NoError(r, err)
	for _, c := range report.Checks {
		require.NotContains(r, c.Message+c.Command, "secret", "no password is ever printed")
		require.NotContains(r, c.Message, "Try:")
		require.NotContains(r, c.Message, "\n")
		require.Contains(r, slugs(), c.Slug)
	}
	return report
}

// bad gives the first check of a slug that is not good; ok is false if there is none.
func bad(report Report, slug string) (Check, bool) {
	for _, c := range report.Checks {
		if c.Slug == slug && c.Level != LevelOK {
			return c, true
		}
	}
	return Check{}, false
}

// good requires that no check of the slug is bad.
func (r *rig) good(report Report, slug string) {
	r.Helper()
	c, is := bad(report, slug)
	require.False(r, is, "%+v", c)
	for _, c := range report.Checks {
		if c.Slug == slug {
			return
		}
	}
	require.Fail(r, "no check "+slug, "%s", textOf(report))
}

func textOf(report Report) string {
	var b strings.Builder
	_ = report.WriteText(&b)
	return b.String()
}

// as gives the same rig to a subtest.
func (r *rig) as(t *testing.T) *rig {
	copied := *r
	copied.T = t
	return &copied
}

// kfakeCluster has users root, who may everything, and dirtbike, who has what the ACLs give.
func kfakeCluster(t *testing.T, brokers int, opts ...kfake.Opt) (*kfake.Cluster, *kadm.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(brokers), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"),
		kfake.User("PLAIN", "dirtbike", "secret")}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster, adminClient(t, cluster.ListenAddrs()...)
}

func adminClient(t *testing.T, brokers ...string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

const saslConfig = `kafka: {sasl: {mechanism: PLAIN, user: dirtbike, password: secret}}`

// newRig writes a config for these parts.
func newRig(t *testing.T, postgres string, brokers []string, registry, clickhouse string) *rig {
	t.Helper()
	r := &rig{T: t, file: filepath.Join(t.TempDir(), "dirtbike.yaml")}
	text := fmt.Sprintf(baseConfig, postgres, strings.Join(brokers, `", "`), registry, clickhouse)
	require.NoError(t, os.WriteFile(r.file, []byte(text), 0o600))
	return r
}

// loginURL is the URL of the clinic for our role.
func loginURL(t *testing.T, s *embedded.Stack) string {
	t.Helper()
	return loginTo(t, s, "clinic")
}

func loginTo(t *testing.T, s *embedded.Stack, database string) string {
	t.Helper()
	u, err := url.Parse(s.Postgres.DatabaseURL(database))
	require.NoError(t, err)
	u.User = url.UserPassword("dirt-bike", "secret")
	return u.String()
}

// makeClinic drops the database and makes it again.
func makeClinic(t *testing.T, s *embedded.Stack) {
	t.Helper()
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), "clinic"))
	embeddedtest.Exec(t, s.Postgres.DatabaseURL("clinic"), clinicSQL)
}
