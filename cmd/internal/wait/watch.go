package wait

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

const (
	// watchInterval is how often it is checked whether a capture runs.
	watchInterval = 2 * time.Second
	// WatchGrace is how long no capture may run: one that lost its connection, or is restarted, is back earlier.
	WatchGrace = 15 * time.Second
)

// CaptureWatch checks whether a capture runs while a verb waits for it. It is not safe for concurrent use.
type CaptureWatch struct {
	Slot string // "" checks nothing
	// last is when it checked; Idle is since when it has found no capture, zero while there is one.
	last, Idle time.Time
	found      bool // the slot exists
}

// watchSQL: whether the slot exists, and whether a capture streams from it or is connected at least.
const watchSQL = `
SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1) || ' ' ||
  (EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active)
   OR ` + postgres.ConnectedSQL + ")"

// Due says that it is time for another Check.
func (w *CaptureWatch) Due() bool { return w.Slot != "" && time.Since(w.last) >= watchInterval }

// Check is an error if no capture has run for WatchGrace. A Postgres that does not answer proves nothing.
func (w *CaptureWatch) Check(ctx context.Context, s *Source) error {
	w.last = time.Now()
	var answer string
	const nameOID = 19
	params := [][]byte{[]byte(w.Slot), []byte(postgres.AttendName(w.Slot))}
	err := s.Query(ctx, watchSQL, params, []uint32{nameOID, nameOID}, func(values [][]byte) error {
		answer = string(values[0])
		return nil
	})
	switch {
	case err != nil, answer == "true true", answer == "false true":
		w.Idle = time.Time{}
		return nil //nolint:nilerr // the caller's own questions say what is wrong
	case w.Idle.IsZero():
		w.Idle = w.last
	}
	w.found = answer == "true false"
	if w.last.Sub(w.Idle) < WatchGrace {
		return nil
	}
	return w.NoCapture()
}

// NoCapture is an error if no capture ran at the last Check.
func (w *CaptureWatch) NoCapture() error {
	if w.Idle.IsZero() {
		return nil
	}
	p := cdc.Failed("no capture reads slot %s", w.Slot).Of(ErrNoCapture)
	if !w.found {
		p.What += ", which does not exist"
	}
	return p.Fix("dirtbike run").Fix("dirtbike capture; the log of one that runs says what keeps it")
}
