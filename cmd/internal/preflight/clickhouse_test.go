package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/sinks/clickhouse/errcode"
)

// weakUser is a user of ClickHouse who may nothing that matters. (A user without any grant would hold every right.)
const weakUser = `<clickhouse><users><weak><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT ON nowhere.*</query></grants></weak></users></clickhouse>
`

const strictServer = `<clickhouse><access_control_improvements>
  <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  <table_engines_require_grant>true</table_engines_require_grant>
</access_control_improvements></clickhouse>
`

// addWeakUser gives the server that user, and makes it as strict as a server can be. The embedded library has no
// writable user storage: its users are in files.
func addWeakUser(t *testing.T, s *embedded.Stack) {
	t.Helper()
	for file, text := range map[string]string{weakFile(s): weakUser, filepath.Join(filepath.Dir(s.ClickHouse.DataDir()), "config.d", "strict.xml"): strictServer} {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	require.NoError(t, s.ClickHouse.Restart(t.Context()))
}

func weakFile(s *embedded.Stack) string {
	return filepath.Join(filepath.Dir(s.ClickHouse.DataDir()), "users.d", "weak.xml")
}

func insertBefore(t *testing.T, file, mark, text string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	before, after, found := strings.Cut(string(content), mark)
	require.True(t, found, "%s in %s", mark, file)
	require.NoError(t, os.WriteFile(file, []byte(before+text+mark+after), 0o600))
}

var grantLine = regexp.MustCompile(`^(GRANT .* )TO (\w+);$`)

// applyClickHouse runs SQL as the user who may everything; a GRANT goes where the embedded library keeps its grants.
func (r *rig) applyClickHouse(sql string) {
	r.Helper()
	if m := grantLine.FindStringSubmatch(sql); m != nil {
		require.Equal(r, "weak", m[2])
		insertBefore(r.T, weakFile(r.stack), "</grants></weak>", "<query>"+m[1]+"</query>")
		require.NoError(r, r.stack.ClickHouse.Restart(r.Context()))
		return
	}
	r.sinkAs(r.weakURL(), strings.TrimSuffix(sql, ";")) // who has what the README grants may do what else is printed
}

// weakURL is the address with the login of the weak user.
func (r *rig) weakURL() string {
	r.Helper()
	u, err := url.Parse(r.stack.ClickHouse.URL())
	require.NoError(r, err)
	u.User = url.UserPassword("weak", "secret")
	return u.String()
}

// sink runs SQL on ClickHouse with every right.
func (r *rig) sink(sql ...string) {
	r.Helper()
	r.sinkAs(r.stack.ClickHouse.URL(), sql...)
}

func (r *rig) sinkAs(address string, sql ...string) {
	r.Helper()
	embeddedtest.ExecClickHouse(r, embeddedtest.ClickHouse(r, address), sql...)
}

// TestClickHouseFixed: the rights of the README one by one, and what others have made in our place.
func TestClickHouseFixed(t *testing.T) {
	s := stack.Get(t)
	addWeakUser(t, s)
	reader := embeddedtest.AddClickHouseUser(t, s.ClickHouse, "reader", map[string]string{"readonly": "2", "allow_ddl": "0"})
	bound := embeddedtest.AddClickHouseUser(t, s.ClickHouse, "bound", map[string]string{"final": "1", "max_execution_time": "3"}, "final", "max_execution_time", "limit")
	weak := (&rig{T: t, stack: s}).weakURL()
	// The views are named after Postgres' tables: a database of this test alone.
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), "views"))
	r := newRig(t, s.Postgres.DatabaseURL("views"), []string{"127.0.0.1:1"}, "http://127.0.0.1:1", weak)
	r.stack = s
	r.set(`source: {tables: ["public.*"]}`)
	r.inDatabase("views", "CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, name text, note text)")

	for _, subject := range []string{"clinic.*", "clinic_raw.*", "table engines", "system.mutations"} {
		report := r.check()
		c, is := bad(report, "clickhouse-rights")
		require.True(t, is, textOf(report))
		require.Equal(t, subject, c.Subject)
		r.apply(c)
	}
	report := r.check()
	r.good(report, "clickhouse-rights")
	r.good(report, "clickhouse-settings")
	r.grantsWhatIsNamed(weak)
	r.set("clickhouse: {url: '" + bound + "'}")
	c, is := bad(r.check(), "clickhouse-settings")
	require.True(t, is)
	require.Contains(t, c.Message, ": final, max_execution_time. ", "limit is constant, and as it must be")
	r.set("clickhouse: {url: '" + reader + "'}")
	c, is = bad(r.check(), "clickhouse-settings")
	require.True(t, is)
	require.Contains(t, c.Message, "readonly = 2 and allow_ddl = 0")
	r.set("clickhouse: {url: '" + embeddedtest.AddClickHouseUser(t, s.ClickHouse, "cutting", map[string]string{"limit": "1"}) + "'}")
	c, is = bad(r.check(), "clickhouse-settings")
	require.True(t, is, "load would refuse it, too")
	require.Contains(t, c.Message, "take limit out of the profile")
	embeddedtest.AddClickHouseUser(t, s.ClickHouse, "cutting", nil)
	r.good(r.check(), "clickhouse-settings")
	r.set("clickhouse: {url: '" + weak + "'}")

	r.sink("CREATE DATABASE clinic ENGINE = Memory")
	r.kept()
	r.fixed("clickhouse-databases", LevelError, "its engine is Memory")
	r.sink("DROP DATABASE clinic")
	r.set("clickhouse: {database: clinic}")

	r.sink("CREATE DATABASE clinic ENGINE = Atomic", "CREATE TABLE clinic.patients (id Int32) ENGINE = ReplacingMergeTree ORDER BY id", "CREATE TABLE clinic.others (id Int32) ENGINE = ReplacingMergeTree ORDER BY id")
	c = r.fixed("clickhouse-views", LevelError, "a table that is not dirtbike's")
	require.Equal(t, "RENAME TABLE clinic.patients TO clinic.patients_former;", c.Command)
	require.Equal(t, "a user with SELECT and DROP TABLE on it, and CREATE TABLE and INSERT on clinic.*", c.by())
	r.sink("DROP DATABASE clinic")
}

// grantsWhatIsNamed: the grant that ClickHouse misses in the midst of the work is printed, and is enough.
func (r *rig) grantsWhatIsNamed(address string) {
	r.Helper()
	r.sink("CREATE DATABASE spare ENGINE = Atomic", "CREATE TABLE spare.t (id Int32) ENGINE = MergeTree ORDER BY id")
	insert := func() error {
		return embeddedtest.ClickHouse(r, address).Exec(r.Context(), "INSERT INTO spare.t VALUES (1)")
	}
	err := insert()
	require.Error(r, err)
	grant, _, is := strings.Cut(cdc.Explain(errcode.Explain(err)).Try[0].Command, "; ")
	require.True(r, is)
	r.applyClickHouse(strings.Replace(grant, "the user of clickhouse.url", "weak", 1) + ";")
	require.NoError(r, insert())
	r.sink("DROP DATABASE spare")
}

// TestClickHouseLogin: a wrong password is an answer.
func TestClickHouseLogin(t *testing.T) {
	t.Parallel()
	s := embeddedtest.Start(t, embedded.Options{Parts: embedded.Parts{ClickHouse: true}})
	r := newRig(t, "postgres://u@127.0.0.1:1/d?sslmode=disable", []string{"127.0.0.1:1"}, "http://127.0.0.1:1", fmt.Sprintf("clickhouse://dirtbike:secretly@127.0.0.1:%d", s.ClickHouse.Port()))
	report := r.check()
	c, is := bad(report, "clickhouse-connect")
	require.True(t, is)
	require.Contains(t, c.Message, "refuses the login")
	require.False(t, report.Unreachable(), "the server answered")
	require.Equal(t, "check its user and password", c.Command)
	r.set("clickhouse: {url: '" + s.ClickHouse.URL() + "'}")
	r.good(r.check(), "clickhouse-connect")
}

// TestARefusedLoginBehindABrokenConnection is one: a server that restarts is asked again, and one that speaks is not.
func TestARefusedLoginBehindABrokenConnection(t *testing.T) {
	away, refused := errors.New("EOF"), &clickhouse.Exception{Code: 516}
	for name, test := range map[string]struct {
		answers []error
		asked   int
		refused bool
		fails   bool
	}{
		"refused at once": {[]error{refused}, 1, true, true},
		"restarts first":  {[]error{away, away, refused}, 3, true, true},
		"is away":         {[]error{away, away, away, away}, 4, false, true},
		"is back":         {[]error{away, nil}, 2, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				err := untilItSpeaks(t.Context(), func(context.Context) error { asked++; return test.answers[asked-1] })
				require.Equal(t, test.asked, asked)
				if !test.fails {
					require.NoError(t, err)
					return
				}
				require.Equal(t, test.refused, errors.Is(clickHouseError(err), cdc.ErrRefused))
				require.Len(t, cdc.Explain(clickHouseError(err)).Try, 1)
			})
		})
	}
	require.ErrorIs(t, clickHouseError(&clickhouse.Exception{Code: 193}), cdc.ErrRefused)
}
