package capture

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// rig is a server, a broker and tables "a" (1) and "b" (2); relation 9 is not captured.
type rig struct {
	*broker
	server  *server
	tables  *fakeTables
	options Options
	capture *Capture // the one started last
}

func newRig() *rig {
	b := newBroker()
	s := newServer(b)
	r := &rig{broker: b, server: s, tables: &fakeTables{server: s, list: []*cdc.Table{newTable(1, "a"), newTable(2, "b")}, mismatch: map[uint32]error{}}}
	r.options = Options{Partitions: 2, Slot: "dirtbike", HashKeys: map[string]string{"k1": "f1"}, ChunkBytes: 256, Chunks: 4}
	return r
}

// start runs a capture; stop ends it as a signal does and gives Run's error.
func (r *rig) start(t *testing.T) (stop func() error) {
	t.Helper()
	o := r.options
	o.Source, o.Sink, o.Tables = r.server, r.sink(), r.tables
	r.capture = NewCapture(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.capture.Run(ctx) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return <-done
	}
}

// fails runs a capture that must stop by itself.
func (r *rig) fails(t *testing.T) error {
	t.Helper()
	o := r.options
	o.Source, o.Sink, o.Tables = r.server, r.sink(), r.tables
	err := NewCapture(o).Run(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "\n")
	return err
}

// requireFix requires that a way out of the problem contains the command.
func requireFix(t *testing.T, err error, command string) {
	t.Helper()
	require.Error(t, err)
	require.Contains(t, cdc.WriteRemedies(cdc.Explain(err).Remedies()), command, err.Error())
}

// requireReason requires the same of a reason that is stored as text, and that it is one line.
func requireReason(t *testing.T, reason, command string) {
	t.Helper()
	require.NotContains(t, reason, "\n")
	requireFix(t, cdc.ParseProblem(reason), command)
}

// streaming waits until the newest capture follows the log and everything in it is committed.
func (r *rig) streaming(t *testing.T) {
	t.Helper()
	r.until(t, func(s cdc.State, _ []record) bool { return s.Source.Phase == cdc.PhaseStreaming })
	r.caughtUp(t)
	r.until(t, func(s cdc.State, _ []record) bool { return copied(s) })
	synctest.Wait()
}

// copied says that no copy is left to be made.
func copied(s cdc.State) bool {
	for _, t := range s.Tables {
		if t.Phase == cdc.TableCopying {
			return false
		}
	}
	return true
}

func (r *rig) caughtUp(t *testing.T) {
	t.Helper()
	identity, err := r.server.Identify(t.Context())
	require.NoError(t, err)
	r.until(t, func(s cdc.State, _ []record) bool { return !s.Point.Partial && s.Point.Reported >= identity.Flushed })
	synctest.Wait()
}

// ran is a rig after a first start and a stop.
func ran(t *testing.T) *rig {
	t.Helper()
	r := newRig()
	r.server.rows[1], r.server.rows[2] = []string{"x"}, []string{"y"}
	stop := r.start(t)
	r.streaming(t)
	require.NoError(t, stop())
	return r
}

// changes are the records that came from the log.
func changes(records []record) []record { return ofOps(records, "c", "u", "d", "t") }

func ofOps(records []record, ops ...string) []record {
	var out []record
	for _, r := range records {
		for _, op := range ops {
			if r.Op == op {
				out = append(out, r)
			}
		}
	}
	return out
}

// again waits until the n-th stream of this server's life is followed.
func (r *rig) again(t *testing.T, n int) {
	t.Helper()
	for r.server.opened() < n {
		time.Sleep(time.Second) // the bubble's clock
		synctest.Wait()
	}
	r.caughtUp(t)
}
