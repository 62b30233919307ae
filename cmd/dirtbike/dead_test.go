package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// errorIn is the error that a verb ended with: before it `wait` may say that a busy server has not answered.
func errorIn(stderr string) string {
	return stderr[max(0, strings.Index(stderr, "Error: ")):]
}

// TestVerbsOfATroubledPipeline: status, wait, verify and readyz say what is created, changed or removed while a capture
// runs.
func TestVerbsOfATroubledPipeline(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, smallSchema+`; CREATE TABLE keyed (id int PRIMARY KEY)`)
	l := r.start("run")
	r.wait()
	at := r.listens("run")
	t.Run("a table created later", func(t *testing.T) {
		r.exec(`CREATE TABLE late (id int)`)
		code, out, _ := r.verb("status")
		require.Equal(t, exitNo, code)
		require.Regexp(t, `│ public.late +│ new +│ +0 │ no `, out)
		require.Contains(t, out, "public.late: not captured: it has no primary key.\n")
		require.Contains(t, out, "give public.late a primary key")
		ready(t, at, 503, "[-]tables failed: not captured: public.late (it has no primary key). Try: give public.late a primary key", "; then restart capture (dirtbike explain tables)\n")
		_, _, errs := r.verb("wait", "--timeout", "60s")
		require.Contains(t, errs, "Error: new table public.late is not captured: it has no primary key.\nTry: give public.late a primary key")
		r.exec(`DROP TABLE late; CREATE TABLE later (id int PRIMARY KEY)`)
		began := time.Now()
		code, _, errs = r.verb("wait", "--timeout", "60s")
		require.Equal(t, exitNo, code)
		require.Less(t, time.Since(began), 30*time.Second)
		require.Equal(t, "Error: new table public.later is not captured: capture has not seen it yet.\nTry: restart capture to copy it\n", errorIn(errs))
		code, out, errs = r.verb("verify")
		require.Equal(t, exitNo, code)
		require.Contains(t, out, "public.later could not be compared: not captured: capture has not seen it yet")
		require.Contains(t, errs, "Error: 1 table could not be compared.\n")
		ready(t, at, 503, "[-]tables failed: not captured: public.later (capture has not seen it yet). Try: restart capture to copy it (dirtbike explain tables)\n", "[-]exact failed: ", "[+]slot ok")
		r.exec(`CREATE TABLE late (id int); ALTER TABLE late ADD PRIMARY KEY (id)`) // as it was said
		_, _, errs = r.verb("wait", "--timeout", "60s")
		require.Equal(t, "Error: new tables public.late, public.later are not captured.\nTry: restart capture to copy them\n", errorIn(errs))
		l.stop()
		l = r.start("run")
		r.wait()
		at = r.listens("run")
		ready(t, at, 200)
	})
	t.Run("a key lost", func(t *testing.T) {
		r.exec(`ALTER TABLE keyed DROP CONSTRAINT keyed_pkey; INSERT INTO things VALUES (900, 'goes on')`)
		code, _, errs := r.verb("wait", "--timeout", "60s")
		require.Equal(t, exitNo, code, errs)
		require.Contains(t, errs, "public.keyed: ")
		code, out, errs := r.verb("verify")
		require.Equal(t, exitNo, code, errs)
		require.Regexp(t, `│ public.keyed +│ +- │ +- │ +- │ not compared`, out)
		require.Contains(t, out, "public.keyed could not be compared: it has no primary key")
		require.Regexp(t, `│ public.things +│ +101 │ +101 │ +0 │ yes`, out)
		code, _, errs = r.verb("verify", "public.keyed")
		require.Equal(t, exitNo, code)
		require.Contains(t, errs, "no table was compared: public.keyed: it has no primary key")
	})
	l.stop()
	t.Run("no capture", func(t *testing.T) {
		code, out, errs := r.verb("status")
		require.Equal(t, exitNo, code)
		require.Contains(t, strings.Split(out, "\n")[0], "no capture is running (slot "+r.name+" is inactive")
		require.Contains(t, errs, "Try: dirtbike run, or dirtbike capture\n")
		began := time.Now()
		code, _, errs = r.verb("wait", "--timeout", "120s")
		require.Equal(t, exitNo, code)
		require.Less(t, time.Since(began), 60*time.Second)
		require.Equal(t, "Error: nothing new arrives in ClickHouse: no capture reads slot "+r.name+".\nTry: dirtbike run, or dirtbike capture; the log of one that runs says what keeps it\n", errorIn(errs))
		says := func(good func() bool) {
			require.Eventually(t, func() bool {
				_, out, errs = r.verb("status")
				return good()
			}, 30*time.Second, 100*time.Millisecond)
		}
		l = r.start("capture") // the ways out
		says(func() bool { return strings.HasPrefix(out, "phase ") && !strings.Contains(errs, "capture") })
		l.stop()
		l = r.start("run")
		says(func() bool { return strings.Contains(errs, "do what NOTE says") })
		require.Contains(t, out, "give public.keyed a primary key; then stop capture and dirtbike resnapshot public.keyed")
		r.exec(`ALTER TABLE keyed ADD PRIMARY KEY (id)`)
		l.stop()
		code, _, errs = r.verb("resnapshot", "public.keyed")
		require.Equal(t, exitGood, code, errs)
		code, out, errs = r.verb("status", "--json")
		require.Equal(t, exitNo, code, errs)
		require.Contains(t, out, `"copied": true`)
		require.Contains(t, out, "it has been copied again, and waits for load. Try: dirtbike wait, or dirtbike run, or dirtbike load, where none runs; before: ")
		l = r.start("run")
		r.wait()
		code, out, errs = r.verb("status")
		require.Equal(t, exitGood, code, out+errs)
		code, out, errs = r.verb("verify", "public.keyed")
		require.Equal(t, exitGood, code, out+errs)
		l.stop()
	})
	t.Run("no slot", func(t *testing.T) {
		r.exec(`SELECT pg_drop_replication_slot($1)`, r.name)
		code, out, errs := r.verb("status")
		require.Equal(t, exitNo, code)
		require.Regexp(t, "^slot "+r.name+" is gone: changes since [0-9A-F]+/[0-9A-F]+ cannot be read · ", out)
		require.Contains(t, errs, "Try: "+cdc.ResnapshotAllCommand)
		code, out, _ = r.verb("status", "--json")
		require.Equal(t, exitNo, code)
		require.Contains(t, out, `"retained_wal_bytes": null`)
		l = r.start("load")
		ready(t, r.listens("load"), 503, "[-]slot failed: ", "Try: dirtbike run --config "+r.config+", which creates it at a first start and otherwise says what is lost")
		l.stop()
		l = r.start("run")
		r.ends(l, 30*time.Second)
		require.Contains(t, l.output(), "\nTry: "+cdc.ResnapshotAllCommand, "it says so")
		code, _, errs = r.verb("resnapshot", "--all")
		require.Equal(t, exitGood, code, errs)
		l = r.start("run")
		r.wait()
		ready(t, r.listens("run"), 200)
		l.stop()
	})
}
