package capture

import (
	"context"
	"errors"
	"time"

	"dirtbike/cdc"
)

// waitingCopy says whose transaction a copy waits for, once it has waited for a while.
type waitingCopy struct {
	since time.Time // zero: it does not wait
	asked time.Time
	told  bool
}

const (
	waitsSilently = 2 * time.Second
	waitsAsks     = 10 * time.Second
)

// tell is given how each try to read a range ended. Whose transaction it is comes from another connection: where that
// cannot be had, the next try says why.
func (w *waitingCopy) tell(ctx context.Context, c *rangeCopy, err error) {
	report := c.session.report
	switch now := time.Now(); {
	case !errors.Is(err, cdc.ErrNotVisible):
		if w.told {
			report.waits(nil)
		}
		*w = waitingCopy{}
	case w.since.IsZero():
		w.since = now
	case now.Sub(w.since) < waitsSilently || now.Sub(w.asked) < waitsAsks:
	default:
		w.asked = now
		if whose, err := c.reader.WaitsFor(ctx, c.view.missing); err == nil && whose != nil {
			report.waits(whose)
			w.told = true
		}
	}
}
