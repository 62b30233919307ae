package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/oracle"
)

const blastSchema = smallSchema + `; CREATE TABLE others (id int PRIMARY KEY, v text, w text); INSERT INTO others VALUES (1, 'BLASTSECRET', 'x')`

// cut ends the replication connection and waits until a new one streams.
func (r *rig) cut(l *process) {
	r.Helper()
	var was int
	admin := r.pg()
	require.NoError(r, admin.QueryRow(r.Context(), `SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&was))
	_, err := admin.Exec(r.Context(), `SELECT pg_terminate_backend($1)`, was)
	require.NoError(r, err)
	require.Eventually(r, func() bool {
		var again bool
		err := admin.QueryRow(r.Context(), `SELECT coalesce(active_pid, $2) <> $2 FROM pg_replication_slots WHERE slot_name = $1`, r.name, was).Scan(&again)
		return !l.running() || err == nil && again
	}, 30*time.Second, 100*time.Millisecond)
	require.True(r, l.running(), l.output())
}

// goesOn writes to things and requires that it comes through, and that the process lives.
func (r *rig) goesOn(l *process) {
	r.Helper()
	r.exec(`INSERT INTO things SELECT max(id) + 1, 'goes on' FROM things`)
	code, out, errs := r.verb("verify", "public.things")
	require.Zero(r, code, "%s%s\n%s", out, errs, l.output())
	require.True(r, l.running(), l.output())
}

// reaches waits until /status shows the table in the phase, for the reason.
func (r *rig) reaches(table, phase, reason string) {
	r.Helper()
	require.Eventually(r, func() bool {
		_, after, found := strings.Cut(r.status(), `"table": "`+table+`"`)
		entry, _, _ := strings.Cut(after, "}")
		return found && strings.Contains(entry, `"phase": "`+phase+`"`) && strings.Contains(entry, reason)
	}, 30*time.Second, 200*time.Millisecond, "%s is not %s for %q", table, phase, reason)
}

// status is what the running process says; it is empty while no process answers.
func (r *rig) status() string {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+r.listens("run")+"/status", http.NoBody)
	require.NoError(r, err)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return ""
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	require.NoError(r, err)
	return string(body)
}

// again stops the process and starts another, which must follow the log.
func (r *rig) again(l *process) *process {
	r.Helper()
	l.stop()
	l = r.start("run")
	require.Eventually(r, func() bool {
		var active bool
		err := r.pg().QueryRow(r.Context(), `SELECT active FROM pg_replication_slots WHERE slot_name = $1`, r.name).Scan(&active)
		return !l.running() || err == nil && active
	}, 60*time.Second, 200*time.Millisecond)
	require.True(r, l.running(), l.output())
	return l
}

// nothingOf requires that no topic of the pipeline's tables holds the text.
func (r *rig) nothingOf(text string, tables ...string) {
	r.Helper()
	for _, table := range tables {
		records, err := oracle.ReadTopics(r.Context(), r.stack.Kafka.Brokers(), r.stack.Registry.URL(), []string{r.name + "." + table})
		require.NoError(r, err)
		require.NotContains(r, fmt.Sprintf("%+v", records), text)
	}
}

// TestBlastOfATableWithoutAKey: a new table that cannot be captured does not affect the others, and keeps nobody from
// copying all of them again.
func TestBlastOfATableWithoutAKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, blastSchema)
	l := r.start("run")
	r.wait()
	r.exec(`CREATE TABLE scratchpad (v text); INSERT INTO scratchpad VALUES ('x')`)
	r.exec(`ALTER TABLE others DROP CONSTRAINT others_pkey`)
	r.cut(l)
	r.goesOn(l)
	r.reaches("public.scratchpad", "new", "it has no primary key")
	r.reaches("public.others", "quarantined", "it has no primary key")
	require.Equal(t, 1, strings.Count(l.output(), "a new table is not captured"), l.output())
	require.Contains(t, l.output(), "a primary key")
	r.exec(`UPDATE scratchpad SET v = 'y'`) // it is not in the publication, where it would need a key
	l = r.again(l)
	r.goesOn(l)
	l.stop()
	code, out, errs := r.verb("resnapshot", "--all")
	require.Equal(t, exitNo, code, out+errs)
	require.Contains(t, errs, "public.others: ")
	r.exec(`ALTER TABLE others ADD PRIMARY KEY (id)`)
	code, out, errs = r.verb("resnapshot", "--all")
	require.Zero(t, code, out+errs)
	require.Contains(t, out, "Left out: public.scratchpad: ")
	l = r.start("run")
	require.Eventually(t, func() bool {
		code, out, errs = r.verb("verify", "public.things", "public.others")
		return code == exitGood
	}, 30*time.Second, 200*time.Millisecond, "%s%s", &out, &errs)
	r.exec(`ALTER TABLE scratchpad ADD PRIMARY KEY (v)`)
	l = r.again(l)
	r.reaches("public.scratchpad", "streaming", "")
	code, out, errs = r.verb("verify", "public.things", "public.others", "public.scratchpad")
	require.Zero(t, code, out+errs)
	l.stop()
}

// TestBlastOfAPolicy: a policy whose column is gone quarantines its table, because the column may have another name; a
// renamed table's rows are not published without the policies either.
func TestBlastOfAPolicy(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"dropped": `ALTER TABLE others DROP COLUMN v`,
		"renamed": `ALTER TABLE others RENAME COLUMN v TO vv`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{privacy: "privacy: {mode: open, columns: {public.others: {v: drop}}}"}, blastSchema)
			l := r.start("run")
			r.wait()
			r.exec(change + `; INSERT INTO others (id, w) VALUES (2, 'x')`)
			r.reaches("public.others", "quarantined", "column")
			r.cut(l)
			r.goesOn(l)
			l = r.again(l)
			r.goesOn(l)
			r.reaches("public.others", "quarantined", "column")
			r.nothingOf("BLASTSECRET", "public.others")
			l.stop()
		})
	}
	t.Run("the table renamed", func(t *testing.T) {
		r := newRig(t, rigOptions{privacy: "privacy: {mode: open, columns: {public.others: {v: drop}}}"}, blastSchema)
		l := r.start("run")
		r.wait()
		r.exec(`ALTER TABLE others RENAME TO clients`)
		r.cut(l)
		r.goesOn(l)
		l = r.again(l)
		r.goesOn(l)
		r.reaches("public.clients", "new", "may be that table under a new name")
		require.Contains(t, l.output(), "public.clients, which privacy.columns does not name, may be that table")
		r.nothingOf("BLASTSECRET", "public.others")
		l.stop()
	})
}

// TestBlastOfAConfiguredKey: the index of a key in the config is watched.
func TestBlastOfAConfiguredKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{sourceYAML: ", keys: {public.events: [id]}"}, smallSchema+`; CREATE TABLE events (id int NOT NULL, v text);
CREATE UNIQUE INDEX events_id ON events (id); ALTER TABLE events REPLICA IDENTITY FULL`)
	l := r.start("run")
	r.wait()
	r.exec(`DROP INDEX events_id; INSERT INTO events VALUES (1, 'x'), (1, 'y')`)
	r.reaches("public.events", "quarantined", "no unique, non-deferrable, NOT NULL index")
	r.goesOn(l)
	l = r.again(l)
	r.goesOn(l)
	r.reaches("public.events", "quarantined", "no unique, non-deferrable, NOT NULL index")
	l.stop()
}

// TestBlastOfMissingRights: a new table that we have no rights to does not affect the others.
func TestBlastOfMissingRights(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, blastSchema)
	r.asRole(r.name + "_role")
	l := r.start("run")
	r.wait()
	r.exec(`CREATE TABLE foreigners (id int PRIMARY KEY)`)
	r.cut(l)
	r.goesOn(l)
	r.reaches("public.foreigners", "new", "Try, as the tables' owner: ALTER PUBLICATION")
	r.exec(`ALTER PUBLICATION ` + r.name + ` ADD TABLE foreigners`)
	l = r.again(l)
	r.goesOn(l)
	grant := "GRANT SELECT ON TABLE public.foreigners TO " + r.name + "_role"
	r.reaches("public.foreigners", "quarantined", "Try, as the owner of public.foreigners: "+grant)
	r.exec(`ALTER TABLE foreigners ENABLE ROW LEVEL SECURITY; ` + grant)
	l = r.again(l)
	r.goesOn(l)
	bypass := "ALTER ROLE " + r.name + "_role BYPASSRLS"
	r.reaches("public.foreigners", "quarantined", "Try, as a superuser: "+bypass+`"`)
	r.exec(bypass)
	l = r.again(l)
	r.reaches("public.foreigners", "streaming", "")
	l.stop()
}

// asRole lets the pipeline run as a role that may read the present tables, and owns nothing.
func (r *rig) asRole(role string) {
	r.Helper()
	r.exec(`CREATE ROLE ` + role + ` LOGIN REPLICATION PASSWORD 'blast'`)
	r.T.Cleanup(func() {
		if conn, err := pgx.Connect(context.Background(), r.url); err == nil {
			defer conn.Close(context.Background()) // the test is over
			_, _ = conn.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role)
		}
	})
	r.exec(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ` + role) // in a transaction of its own: autovacuum locks tables, too
	r.exec(`CREATE PUBLICATION ` + r.name + ` FOR TABLE ONLY things, ONLY others`)
	own, err := url.Parse(r.url)
	require.NoError(r, err)
	own.User = url.UserPassword(role, "blast")
	config, err := os.ReadFile(r.config)
	require.NoError(r, err)
	require.NoError(r, os.WriteFile(r.config, []byte(strings.Replace(string(config), r.url, own.String(), 1)), 0o600))
}

// TestBlastOfASchema: a schema that the registry will not take, or a subject at which it fails, costs its table; once
// it does not, the documented way brings it back. So it is with a subject that is deleted while everything runs.
func TestBlastOfASchema(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, blastSchema)
	refuses := r.refusingRegistry(map[string]int{"others-value": http.StatusConflict, "fresh-key": http.StatusConflict, "invalid-value": http.StatusUnprocessableEntity,
		"failing-value": http.StatusInternalServerError})
	l := r.start("run")
	r.wait()
	r.exec(`ALTER TABLE others ALTER w TYPE int USING 7; INSERT INTO others VALUES (2, 'y', 8)`)
	r.reaches("public.others", "quarantined", "column")
	refuses.Store(true)
	r.exec(`CREATE TABLE fresh (id int PRIMARY KEY); CREATE TABLE invalid (id int PRIMARY KEY); CREATE TABLE failing (id int PRIMARY KEY)`)
	l = r.bringBack(l, "others")
	r.reaches("public.others", "quarantined", "incompatible with an earlier version")
	r.reaches("public.fresh", "quarantined", "incompatible with an earlier version under subject "+r.name+".public.fresh-key")
	r.reaches("public.invalid", "quarantined", "the registry finds it invalid")
	r.reaches("public.failing", "quarantined", "the registry answers 500")
	r.goesOn(l)
	refuses.Store(false) // the subjects' level is NONE now
	l = r.bringBack(l, "others", "fresh", "invalid")
	r.wait()
	r.equalAll()

	for _, subject := range []string{"-value", "-key"} {
		for _, permanent := range []string{"", "?permanent=true"} {
			r.registryDelete("/subjects/" + r.name + ".public.others" + subject + permanent)
		}
	}
	r.exec(`INSERT INTO others VALUES (3, 'z', 9)`)
	r.goesOn(l)
	l = r.again(l)
	r.exec(`INSERT INTO others VALUES (4, 'z', 9)`)
	r.goesOn(l)
	r.wait() // a start registers again what it needs
	r.equalAll()
	l.stop()
}

// registryDelete deletes at the registry.
func (r *rig) registryDelete(path string) {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodDelete, r.stack.Registry.URL()+path, http.NoBody)
	require.NoError(r, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	defer answer.Body.Close()
	require.Equal(r, http.StatusOK, answer.StatusCode)
}

// bringBack excludes the tables, starts, and names them again, as a quarantined table's reason says.
func (r *rig) bringBack(l *process, tables ...string) *process {
	r.Helper()
	config, err := os.ReadFile(r.config)
	require.NoError(r, err)
	without := strings.Replace(string(config), `["public.*"]`, `["public.*", "!public.`+strings.Join(tables, `", "!public.`)+`"]`, 1)
	require.NoError(r, os.WriteFile(r.config, []byte(without), 0o600))
	l = r.again(l)
	r.goesOn(l)
	require.NoError(r, os.WriteFile(r.config, config, 0o600))
	return r.again(l)
}

// refusingRegistry is a proxy of the pipeline's registry; while it is switched on it answers with the status of the
// subject to whoever registers a schema there.
func (r *rig) refusingRegistry(subjects map[string]int) *atomic.Bool {
	r.Helper()
	target, err := url.Parse(r.stack.Registry.URL())
	require.NoError(r, err)
	proxy, refuses := httputil.NewSingleHostReverseProxy(target), &atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for subject, status := range subjects {
			if refuses.Load() && q.Method == http.MethodPost && strings.Contains(q.URL.Path, subject) {
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, `{"error_code":%d,"message":"Schema being registered is incompatible with an earlier schema"}`, status)
				return
			}
		}
		proxy.ServeHTTP(w, q)
	}))
	r.T.Cleanup(server.Close)
	config, err := os.ReadFile(r.config)
	require.NoError(r, err)
	require.NoError(r, os.WriteFile(r.config, []byte(strings.Replace(string(config), r.stack.Registry.URL(), server.URL, 1)), 0o600))
	return refuses
}
