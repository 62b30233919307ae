package draft

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// oddSQL makes a database of odd names, and every kind of table that cannot be captured.
const oddSQL = `
CREATE SCHEMA billing; CREATE SCHEMA "we.ird"; CREATE SCHEMA "!not"; CREATE TABLE "!not".t (id int PRIMARY KEY); CREATE SCHEMA "Űber-schéma"; CREATE SCHEMA globs;
CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, first_name text, "lastName" text, zip text, zip_nr int, dob date, note text, email text,
  homephone text, fax_no text, ip inet, photo bytea, created_at timestamptz, has_email bool, payload jsonb, lat float8, city text, state text, age int, npi text, "accountNumber" text,
  device_id uuid, home_page_url text, tags text[], emails text[], paid numeric(12,2), plan_number text, "Gender" text);
INSERT INTO public.patients SELECT g FROM generate_series(1, 1000) g; ANALYZE public.patients;
CREATE TABLE billing.claims (mrn text, claim_no bigint, paid numeric(12,2), PRIMARY KEY (mrn, claim_no));
CREATE TABLE public."o'd.d ""q"" Ünï: # [x] {y} A" ("Col ""q"" : # *" int PRIMARY KEY, "*" text, "a.b" text, "ssn" text, "${env:HOME}" text, "new
line" text, "yes" text, "1" text, "~" text, "- x" text, "back\slash" text, "tab	x" text);
CREATE TABLE "we.ird".t (id int PRIMARY KEY); CREATE TABLE "Űber-schéma"."UPPER" ("Id" int PRIMARY KEY, "E-Mail" text);
CREATE TABLE public."tab	and 'q' \ back" (id int PRIMARY KEY, v text);
CREATE TABLE public."${env:HOME}" (id int PRIMARY KEY);
CREATE TABLE globs."st*r" (id int PRIMARY KEY); CREATE TABLE globs.star (id int PRIMARY KEY);
CREATE TABLE public.billing_claims (id int PRIMARY KEY);
CREATE TABLE public.complete_up_to (id int PRIMARY KEY);
CREATE TABLE public.floats (x float8 PRIMARY KEY); CREATE TABLE public.deferred (id int PRIMARY KEY DEFERRABLE);
CREATE UNLOGGED TABLE public.unlogged (id int PRIMARY KEY); CREATE TABLE public.unkeyed (a int);
CREATE TABLE public.parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE public.part1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE public.nothing (id int PRIMARY KEY); ALTER TABLE public.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE public.hidden (id int PRIMARY KEY); ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY;
CREATE ROLE looker LOGIN REPLICATION PASSWORD 'p@ss/word'; CREATE ROLE owner LOGIN PASSWORD 'p@ss/word'; GRANT USAGE, CREATE ON SCHEMA billing TO owner;
GRANT SELECT ON public.hidden TO looker;`

// oddDatabase gives the address of the database for a role that looks at it, and that of the superuser.
func oddDatabase(t *testing.T) (source, admin string) {
	t.Helper()
	p := embeddedtest.Postgres(t, "", nil)
	require.NoError(t, p.CreateDatabase(t.Context(), "Odd-Clinic"))
	embeddedtest.Exec(t, p.DatabaseURL("Odd-Clinic"), oddSQL)
	u, err := url.Parse(p.DatabaseURL("Odd-Clinic"))
	require.NoError(t, err)
	u.User = url.UserPassword("looker", "p@ss/word")
	return u.String(), p.DatabaseURL("Odd-Clinic")
}

// registered says yes to every schema.
type registered struct{}

func (registered) Register(context.Context, string, string) (int, error) { return 1, nil }
func (registered) Schema(context.Context, int) (string, error)           { return "", schemas.ErrNoSchema }

// TestDraft: the file loads, names what is there, and passes every check that a start makes of names, keys and
// policies.
func TestDraft(t *testing.T) {
	source, admin := oddDatabase(t)
	notDrafted(t, source, admin)
	d, err := Make(t.Context(), source)
	require.NoError(t, err)
	require.Equal(t, "PGPASSWORD", d.Export)
	require.True(t, d.Escaped)
	for _, password := range []string{"p@ss/word", "p%40ss%2Fword"} {
		require.NotContains(t, d.Text, password)
	}
	file := filepath.Join(t.TempDir(), "dirtbike.yaml")
	require.NoError(t, Write(file, d.Text, false))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, Write(file, "other", false), os.ErrExist)
	t.Setenv("PGPASSWORD", "p%40ss%2Fword")
	t.Setenv("CLICKHOUSE_PASSWORD", "x")
	c, err := config.Load(file)
	require.NoError(t, err, d.Text)
	require.Equal(t, source, c.Source.URL.Reveal())
	require.Equal(t, config.ModeAllowlist, c.Privacy.Mode)
	require.False(t, c.Privacy.MayOpen(), "only what is named leaves")

	trial, err := pipeline.NewTrial(c, registered{})
	require.NoError(t, err)
	listed, err := trial.Tables.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, trial.Tables.UnmatchedNames())
	require.Len(t, c.Source.Tables, len(listed), "each table has an entry of its own")
	for _, entry := range c.Source.Tables {
		require.NotContains(t, entry, "*", "a glob would include tables that no one has reviewed")
	}
	captured := map[string]bool{}
	for _, table := range listed {
		require.NoError(t, table.Refused, table.FullName())
		require.NoError(t, table.BlocksStart, table.FullName())
		_, err := trial.Tables.Encoder(t.Context(), table)
		require.NoError(t, err, table.FullName())
		captured[table.FullName()] = true
	}
	require.Equal(t, map[string]bool{
		"public.patients": true, "billing.claims": true, `public.o'd.d "q" Ünï: # [x] {y} A`: true, "Űber-schéma.UPPER": true, "public.tab\tand 'q' \\ back": true,
		"globs.star": true, "public.part1": true, "public.hidden": true,
	}, captured)
	require.Regexp(t, `\n    - "public.patients" # [0-9.]+ KiB; about 1,000 rows; key patient_id; replica identity default; no SELECT on it\n`, d.Text)
	require.Contains(t, d.Text, "; rows not counted yet; key mrn, claim_no; replica identity default; no SELECT on it; no USAGE on its schema\n")
	require.Contains(t, d.Text, "\n    # - \"public.unkeyed\" # left out: it has no primary key")
	uncommented, err := config.Parse(file, []byte(strings.ReplaceAll(d.Text, "\n    # - ", "\n    - ")))
	require.NoError(t, err, "a line whose # is taken away is right")
	require.Contains(t, uncommented.Source.Tables, "public.unkeyed")
	wouldStart(t, file, d.Text)
	createLater(t, source)
	again, err := trial.Tables.List(t.Context())
	require.NoError(t, err)
	require.Len(t, again, len(listed), "a table that is made later is not captured")
	var shown strings.Builder
	require.NoError(t, d.WriteText(&shown))
	for _, table := range d.Tables {
		require.Equal(t, captured[table.FullName()], table.Obstacle == nil, table.FullName())
		if table.Obstacle != nil {
			require.Contains(t, d.Text, table.Obstacle.Error(), "the reason stands in the file")
		}
	}
	require.Regexp(t, `public.patients +│ +[0-9.]+ KiB │ +1,000 │ patient_id +│ default`, shown.String())
	require.Contains(t, shown.String(), "row-level security hides rows")
	require.Contains(t, shown.String(), "no SELECT on it")
	guessed(t, c)
	require.NoError(t, Write(file, "other", true))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "other", string(text))
}

// notDrafted: a database without tables, and a role that may not read the catalog; another database and another role
// give a draft.
func notDrafted(t *testing.T, source, admin string) {
	t.Helper()
	empty, err := url.Parse(source)
	require.NoError(t, err)
	empty.Path = "/postgres"
	_, err = Make(t.Context(), empty.String())
	require.Equal(t, []cdc.Remedy{{Command: "another database in --source"}}, cdc.Explain(err).Try)
	whole := strings.Replace(admin, "/Odd-Clinic", "/postgres", 1)
	for made, way := range map[string]string{"CREATE TABLE alone (a int)": "give public.alone a primary key", "CREATE UNLOGGED TABLE alone (a int PRIMARY KEY)": "ALTER TABLE public.alone SET LOGGED"} {
		embeddedtest.Exec(t, whole, made)
		_, err = Make(t.Context(), empty.String())
		require.Equal(t, way, cdc.Explain(err).Try[0].Command)
		embeddedtest.Exec(t, whole, strings.Replace(way, "give public.alone a primary key", "ALTER TABLE alone ADD PRIMARY KEY (a)", 1))
		_, err = Make(t.Context(), empty.String())
		require.NoError(t, err)
		embeddedtest.Exec(t, whole, "DROP TABLE alone")
	}
	embeddedtest.Exec(t, admin, "REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC")
	_, err = Make(t.Context(), source)
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.Equal(t, []cdc.Remedy{{Command: "a role that may read the catalog"}}, cdc.Explain(err).Try)
	_, err = Make(t.Context(), admin)
	require.NoError(t, err)
	embeddedtest.Exec(t, admin, "GRANT SELECT ON pg_catalog.pg_class TO PUBLIC")
}

// createLater makes a table with a key and one without in a schema that the draft names tables of.
func createLater(t *testing.T, source string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), strings.Replace(source, "looker", "owner", 1))
	require.NoError(t, err)
	defer conn.Close(context.Background()) // nothing is open on it
	_, err = conn.Exec(t.Context(), "CREATE TABLE billing.later (id int PRIMARY KEY, ssn text); CREATE TABLE billing.later_unkeyed (a int)")
	require.NoError(t, err)
}

// wouldStart runs capture's own preflight on the draft, with a Kafka in place of the one that is to be filled in.
func wouldStart(t *testing.T, file, text string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	c, err := config.Parse(file, []byte(strings.Replace(text, "kafka:9092", cluster.ListenAddrs()[0], 1)))
	require.NoError(t, err)
	trial, err := pipeline.NewTrial(c, registered{})
	require.NoError(t, err)
	require.NoError(t, trial.Capture.WouldStart(t.Context()))
}

// guessed: every column of a person is named, and no column that identifies the person is kept as it is.
func guessed(t *testing.T, c *config.Config) {
	t.Helper()
	want := map[string]config.Policy{
		"patient_id": "keep", "mrn": "hash", "ssn": "drop", "first_name": "mask", "lastName": "mask", "zip": "zip3", "zip_nr": "drop", "dob": "year", "note": "drop",
		"email": "mask", "homephone": "mask", "fax_no": "mask", "ip": "drop", "photo": "drop", "created_at": "keep", "has_email": "keep", "payload": "drop", "lat": "drop",
		"city": "mask", "state": "keep", "age": "drop", "npi": "hash", "accountNumber": "hash", "device_id": "hash", "home_page_url": "drop", "tags": "keep", "emails": "drop",
		"paid": "keep", "plan_number": "hash", "Gender": "keep",
	}
	require.Equal(t, want, c.Privacy.Columns["public.patients"])
	require.Equal(t, map[string]config.Policy{"mrn": "hash", "claim_no": "keep", "paid": "keep"}, c.Privacy.Columns["billing.claims"], "a key is kept or hashed")
	odd := c.Privacy.Columns[`public.o'd.d "q" Ünï: # [x] {y} A`]
	for _, name := range []string{`Col "q" : # *`, "a.b", "${env:HOME}", "new\nline", "yes", "1", "~", "- x", `back\slash`, "tab\tx"} {
		require.Contains(t, odd, name)
	}
	require.NotContains(t, odd, "*", "it would include columns that are not named")
}

// TestAddress: a password is taken out wherever it may be; the rest stays as it was typed.
func TestAddress(t *testing.T) {
	t.Setenv("PW", "x")
	t.Setenv("PGPASSWORD", "")
	for source, written := range map[string]string{
		"postgres://u@h/d":                                 "postgres://u@h/d",
		"postgres://u:secret@h:1/d?sslmode=require":        "postgres://u:${env:PGPASSWORD}@h:1/d?sslmode=require",
		"postgresql://u:s%40c@h/d":                         "postgresql://u:${env:PGPASSWORD}@h/d",
		"postgres://u:${env:PW}@h/d":                       "postgres://u:${env:PW}@h/d",
		"postgres://h/d?user=u&password=secret&x=1":        "postgres://h/d?user=u&password=${env:PGPASSWORD}&x=1",
		"postgres://u@h/d?pass%77ord=secret":               "postgres://u@h/d?password=${env:PGPASSWORD}",
		"postgres://u:secret@h/d?sslpassword=secret":       "postgres://u:${env:PGPASSWORD}@h/d?sslpassword=${env:PGSSLPASSWORD}",
		"host=h user=u password=secret dbname=d":           "host=h user=u password='${env:PGPASSWORD}' dbname=d",
		`host=h  password = 'sec\'ret it' dbname='my db'`:  "host=h password='${env:PGPASSWORD}' dbname='my db'",
		`host=h password=sec\ ret sslpassword='x' user=u`:  "host=h password='${env:PGPASSWORD}' sslpassword='${env:PGSSLPASSWORD}' user=u",
		"host=h user=u password='${env:PW}' sslmode=allow": "host=h user=u password='${env:PW}' sslmode=allow",
	} {
		a, err := parseAddress(source)
		require.NoError(t, err, source)
		require.Equal(t, written, a.written)
		require.NotContains(t, a.written, "secret")
	}
	for _, source := range []string{"mysql://h/d", "nothing", "postgres://u:p%zz@h/d", "postgres://u:${env:NOT_SET_ANYWHERE}@h/d"} {
		_, err := parseAddress(source)
		require.Error(t, err, source)
		require.NotEmpty(t, cdc.Explain(err).Try)
	}
	_, err := parseAddress(strings.TrimPrefix(errSource.Try[0].Command, "--source "))
	require.NoError(t, err)
}

// TestAddressWithPGPASSWORD: a password that the environment holds is referred to, unless the address names one.
func TestAddressWithPGPASSWORD(t *testing.T) {
	t.Setenv("PW", "x")
	t.Setenv("PGPASSWORD", "s3cret")
	for source, written := range map[string]string{
		"postgres://u@h/d":                   "postgres://u:${env:PGPASSWORD}@h/d",
		"postgres://u:@h/d?sslmode=allow":    "postgres://u:${env:PGPASSWORD}@h/d?sslmode=allow",
		"postgres:///d?host=/run/postgresql": "postgres:///d?host=/run/postgresql&password=${env:PGPASSWORD}",
		"postgres://h/d":                     "postgres://h/d?password=${env:PGPASSWORD}",
		"postgres://u:${env:PW}@h/d":         "postgres://u:${env:PW}@h/d",
		"postgres://h/d?user=u&password=x":   "postgres://h/d?user=u&password=${env:PGPASSWORD}",
		"host=h user=u dbname=d":             "host=h user=u dbname=d password='${env:PGPASSWORD}'",
		"host=h user=u password='${env:PW}'": "host=h user=u password='${env:PW}'",
	} {
		a, err := parseAddress(source)
		require.NoError(t, err, source)
		require.Equal(t, written, a.written)
		again, err := parseAddress(a.written)
		require.NoError(t, err, written)
		require.Equal(t, written, again.written)
	}
	t.Setenv("PGPASSWORD", "p@ss/word")
	a, err := parseAddress("postgres://u@h/d")
	require.NoError(t, err)
	require.Equal(t, "postgres://u@h/d", a.written, "a URL would need it in another form")
	require.True(t, a.hidden, "the draft says where it is")
}

// TestSourceErrors end soon, in one line that says what to do.
func TestSourceErrors(t *testing.T) {
	_, err := Make(t.Context(), "postgres://u:secret@127.0.0.1:1/d")
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	require.Contains(t, cdc.Explain(err).Try[0].Command, "--source")
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "secret")
	_, err = Make(t.Context(), "http://u:secret@h/d")
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.NotContains(t, err.Error(), "secret")
	ended, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("over"))
	defer cancel()
	<-ended.Done()
	_, err = Make(ended, "postgres://u@127.0.0.1:1/d")
	require.Error(t, err)
}

func TestNames(t *testing.T) {
	for from, to := range map[string]string{"clinic": "clinic", "Odd-Clinic": "odd_x002d_clinic", "1st": "db_x0031_st", "": "db", "default": "db_default", "Ünï": "db_x00dc_n_x00ef_"} {
		require.Equal(t, to, nameOf(from))
	}
	odd := &Table{Obstacle: cdc.Failed("column \"\x1b[2J\x7f\n- evil\" is no key")}
	odd.Name = "a\x1b\x7f"
	require.Equal(t, `# - ".a\x1b\x7f" # left out: column "\x1b[2J\x7f; - evil" is no key`, entry(odd))
	for from, to := range map[string]string{"homePhone2": "home_phone_2", "SSN": "ssn", "E-Mail": "e_mail", "SSNNumber": "ssn_number", "MRNCode": "mrn_code", "dateOfBirth": "date_of_birth", "__x__": "x"} {
		require.Equal(t, to, split(from), fmt.Sprint(from))
	}
}

// TestGuesses: names as people write them, run together, abbreviated or in German.
func TestGuesses(t *testing.T) {
	text, date := schemas.Type{Kind: schemas.KindText, Name: "text"}, schemas.Type{Kind: schemas.KindDate, Name: "date"}
	dates := schemas.Type{Kind: schemas.KindArray, Name: "date[]", Elem: &date}
	for _, c := range []struct {
		kind   schemas.Type
		policy string
		names  []string
	}{
		{text, "drop", []string{"ssn", "SSN", "SSNNumber", "SSNLast4", "ssn_last4", "patientSSN", "socialsecuritynumber", "driverslicense", "drivers_license_number", "ipv4", "ipv6", "IPv4",
			"dateofbirth", "gebdat"}},
		{text, "hash", []string{"medicalrecordnumber", "MRNCode", "mrn", "memberid", "memberId", "policynumber", "policy_no", "card_last4", "cardLast4", "accountnumber"}},
		{text, "mask", []string{"homephonenumber", "homePhoneNumber", "mobilenumber", "mothers_maiden", "mothersmaidenname", "lastname", "ort", "wohnort", "email"}},
		{date, "year", []string{"dateofbirth", "dob", "gebdat", "geburtsdatum", "service_date", "dateOfService", "visit_date", "admitted_at", "discharge_date", "shipped_on", "date"}},
		{date, "keep", []string{"created_at", "updatedAt"}},
		{dates, "drop", []string{"dob", "visit_dates", "died", "shipped_on", "days"}}, // year takes one date
	} {
		for _, name := range c.names {
			require.Equal(t, c.policy, guessColumn(&schemas.Column{Name: name, Type: c.kind}, false).policy, "%s %s", name, c.kind.Name)
		}
	}
	require.Equal(t, guess{"keep", notJudged}, guessColumn(&schemas.Column{Name: "gender", Type: text}, false))
	require.Equal(t, guess{policy: "keep"}, guessColumn(&schemas.Column{Name: "paid", Type: schemas.Type{Kind: schemas.KindNumeric, Name: "numeric"}}, false))
}
