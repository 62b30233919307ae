package clickhouse

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// readersXML gives readers rights on one view of database %[1]s: by a role, to one column, with a row policy, a quota
// and a profile. They are kept by names, as those in SQL are.
const readersXML = `<clickhouse>
<profiles><r_narrow><max_result_rows>1</max_result_rows><constraints><max_result_rows><const/></max_result_rows></constraints></r_narrow></profiles>
<quotas><r_few><interval><duration>31536000</duration><result_rows>%[2]d</result_rows></interval></r_few></quotas>
<roles><r_readers><grants><query>GRANT SELECT ON %[1]s.visits</query></grants></r_readers></roles>
<users>
<r_clerk><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT r_readers</query></grants><databases><%[1]s><visits><filter>id = 1</filter></visits></%[1]s></databases></r_clerk>
<r_counter><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT(id) ON %[1]s.visits</query></grants></r_counter>
<r_narrow><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>r_narrow</profile><quota>default</quota>
<grants><query>GRANT r_readers</query></grants></r_narrow>
<r_spender><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>r_few</quota>
<grants><query>GRANT r_readers</query></grants></r_spender>
<r_nobody><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT ON %[1]s.others</query></grants></r_nobody>
</users></clickhouse>
`

// TestReadersRightsSurvive: what a person gave readers on a view, and took from them, stays with its name: in the first
// generation, after another one, with a column more, after the view was dropped, and under another loader.
func TestReadersRightsSurvive(t *testing.T) {
	w := newWorld(t)
	tab := twoColumns(w, "visits")
	w.begin().insert(tab, "1", "a").insert(tab, "2", "b").commit()
	c := stack.Get(t).ClickHouse
	const spends = 12
	file := filepath.Join(filepath.Dir(c.DataDir()), "users.d", "rights.xml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, readersXML, w.database, spends), 0o600))
	t.Cleanup(func() { _ = os.Remove(file) })
	require.NoError(t, c.Restart(t.Context()))
	as := func(user string) *world {
		u, err := url.Parse(c.URL())
		require.NoError(t, err)
		u.User = url.UserPassword(user, "secret")
		return &world{t: t, ctx: w.ctx, database: w.database, conn: embeddedtest.ClickHouse(t, u.String())}
	}
	readers := map[string]*world{}
	for _, user := range []string{"r_clerk", "r_counter", "r_narrow", "r_spender", "r_nobody"} {
		readers[user] = as(user)
	}
	w.conn = embeddedtest.ClickHouse(t, c.URL())
	l := w.load()
	w.wait()
	spent := 0
	check := func(when string, columns ...string) {
		t.Helper()
		refuses := func(user, sql string, code proto.Error) {
			t.Helper()
			_, err := readers[user].tryQuery(sql)
			require.Equal(t, code, errcode.Of(err), "%s: %s may not %s: %v", when, user, sql, err)
		}
		require.Equal(t, []string{"1"}, readers["r_clerk"].query("SELECT id FROM DB.visits"), when)
		require.Equal(t, []string{"1"}, readers["r_clerk"].query("SELECT count() FROM DB.visits"), when)
		require.Equal(t, []string{"1", "2"}, readers["r_counter"].query("SELECT id FROM DB.visits ORDER BY id"), when)
		for _, column := range columns {
			refuses("r_counter", "SELECT "+column+" FROM DB.visits", proto.ErrAccessDenied)
		}
		require.Equal(t, []string{"2"}, readers["r_narrow"].query("SELECT count() FROM DB.visits"), when)
		refuses("r_narrow", "SELECT id FROM DB.visits", proto.ErrTooManyRowsOrBytes)
		refuses("r_narrow", "SELECT id FROM DB.visits SETTINGS max_result_rows = 0", proto.ErrTooManyRowsOrBytes)
		require.Equal(t, []string{"1", "2"}, readers["r_spender"].query("SELECT id FROM DB.visits ORDER BY id"), when)
		spent += 2
		refuses("r_nobody", "SELECT id FROM DB.visits", proto.ErrAccessDenied)
		for user := range readers {
			for _, storage := range w.query("SELECT name FROM system.tables WHERE database = '" + w.database + "_raw'") {
				refuses(user, "SELECT count() FROM "+schemas.ClickHouseIdent(w.database+"_raw")+"."+schemas.ClickHouseIdent(storage), proto.ErrAccessDenied)
			}
		}
	}
	check("at first", "v")
	w.copyAgain(tab, []string{"1", "again"}, []string{"2", "again"})
	w.wait()
	require.Equal(t, []string{"again"}, w.query("SELECT DISTINCT v FROM DB.visits"))
	check("in another generation", "v")

	tab.rel.Columns = append(slices.Clone(tab.rel.Columns), plainColumn("more", schemas.KindText, false))
	var err error
	tab.table, err = schemas.NewTable(tab.rel, tab.topic.Name, keepAll{})
	require.NoError(t, err)
	tab.compile()
	w.copyAgain(tab, []string{"1", "a", "m"}, []string{"2", "b", "m"})
	w.wait()
	require.Equal(t, []string{"m"}, w.query("SELECT DISTINCT more FROM DB.visits"))
	check("with a column more", "v", "more")

	embeddedtest.ExecClickHouse(t, w.conn, "DROP VIEW "+schemas.ClickHouseIdent(w.database)+".visits")
	w.eventually([]string{"2"}, "SELECT count() FROM DB.visits")
	check("made again", "v", "more")
	l.stop(t)
	w.load()
	w.begin().update(tab, "2", "c", "m").commit()
	w.wait()
	check("under another loader", "v", "more")
	for spent < spends {
		require.Equal(t, []string{"1", "2"}, readers["r_spender"].query("SELECT id FROM DB.visits ORDER BY id"))
		spent += 2
	}
	_, err = readers["r_spender"].tryQuery("SELECT id FROM DB.visits")
	require.Equal(t, proto.ErrQuotaExceeded, errcode.Of(err), "what was read of every view under the name counts: %v", err)
}
