package wait

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/sinks/clickhouse/ledger"
)

// The reasons for which a comparison or a wait ends without an answer. They are wrapped with where and what to do.
var (
	// ErrNothingCompared says that no table was compared, which is no agreement.
	ErrNothingCompared = errors.New("no table was compared")
	// ErrBehind says that ClickHouse did not become complete in time.
	ErrBehind = errors.New("ClickHouse is not complete in time")
	// ErrNoCapture says that no capture runs.
	ErrNoCapture = errors.New("nothing new arrives in ClickHouse")
	// ErrQuarantined says that a table cannot become exact by waiting.
	ErrQuarantined = errors.New("a table is quarantined")
)

// Options of Complete.
type Options struct {
	// Source is the URL of the primary; it may hold a password and is never printed.
	Source     string
	ClickHouse driver.Conn
	Database   string
	// Tables gives those that must be exact, "schema.table", in addition to those that complete_up_to knows. It is
	// asked until it answers; an error that wraps cdc.ErrUnreachable means again. Nil means none.
	Tables func(context.Context) ([]string, error)
	// Epoch gives the epoch under which capture writes: completeness under an earlier one does not count. It is asked
	// like Tables, before anything else. 0, and nil, mean any.
	Epoch func(context.Context) (uint32, error)
	// Slot from which capture reads; "" does not check whether a capture is there.
	Slot string
	// Timeout after which it is ErrBehind or cdc.ErrUnreachable; 0 means 60 seconds.
	Timeout time.Duration
	// FirstCopy says that the timeout does not count while a capture runs and ClickHouse is complete up to nothing yet:
	// a first start takes as long as the tables are many and large.
	FirstCopy bool
	// Parts are asked whether they answer, once the wait has lasted a while; Say gets a line about one that does not,
	// after about 5 seconds and then every 30. One goroutine at a time calls it; nil asks nothing.
	Parts []Part
	Say   func(line string)
}

// Complete returns once ClickHouse is complete up to the source's position at the moment of the call and every table is
// exact (rule 24). On a primary it commits a logical message and waits for its position, since an idle log would never
// get there; on a standby it waits for what has been replayed.
//
// A server that does not answer is asked again until the timeout, which a server that hangs does not delay.
// cdc.ErrUnreachable says that none did then; ErrQuarantined ends the wait early, and so does ErrNoCapture once no
// capture has run for 15 seconds.
func Complete(ctx context.Context, o Options) error {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	w := &waiter{Options: o, ledger: ledger.New(o.ClickHouse, o.Database), watch: CaptureWatch{Slot: o.Slot}}
	defer w.close(context.WithoutCancel(ctx))
	defer watchParts(ctx, o.Parts, o.Say)()
	for copying := false; ; {
		bounded, cancel := context.WithTimeout(ctx, o.Timeout)
		err := w.verdict(ctx, bounded, w.until(bounded))
		cancel()
		was := copying
		copying = w.firstCopy()
		if !errors.Is(err, ErrBehind) || !copying && !was { // what follows the first copy has a whole timeout
			return err
		}
	}
}

// firstCopy says that a capture was seen to run, and that nothing is complete yet.
func (w *waiter) firstCopy() bool {
	return w.FirstCopy && w.lacking == nothingYet && !w.watch.last.IsZero() && w.watch.NoCapture() == nil
}

// verdict is what the outcome of one timeout means.
func (w *waiter) verdict(ctx, bounded context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() == nil || err == nil:
		return err
	case w.lacking == "": // no answer yet, or no longer one
		return w.unreachable()
	case w.watch.NoCapture() != nil:
		return w.watch.NoCapture()
	}
	return cdc.Failed("after %s %s", w.Timeout, w.lacking).Of(ErrBehind).Fix("dirtbike status")
}

// waiter is one wait.
type waiter struct {
	Options
	ledger  *ledger.Ledger
	source  *Source // nil until it is needed
	watch   CaptureWatch
	epoch   uint32
	epoched bool // epoch is known
	tables  []string
	target  cdc.LSN
	asked   bool   // tables and target are known
	lacking string // what the last answer lacked; "" while a server is away
	away    error  // why the last question got none
	// refused are tables that were seen quarantined, and since when.
	refused map[string]time.Time
}

// unreachable names the server that did not answer.
func (w *waiter) unreachable() error {
	if w.away != nil {
		return w.away
	}
	part, url := "Postgres", "source.url"
	if w.asked {
		part, url = "ClickHouse", "clickhouse.url"
	}
	return cdc.Failed("%s hangs: nothing within %s", part, w.Timeout).Of(cdc.ErrUnreachable).Fix("see that %s runs and %s is right", part, url)
}

// until asks until all is complete, or waiting cannot help, or ctx ends.
func (w *waiter) until(ctx context.Context) error {
	return sparingly(ctx, func() (bool, error) {
		done, err := w.ask(ctx)
		switch {
		case ctx.Err() != nil && !done:
			return false, ctx.Err()
		case errors.Is(err, cdc.ErrUnreachable):
			w.lacking, w.away, err = "", err, nil
		}
		return done, err
	})
}

// ask asks each server once.
func (w *waiter) ask(ctx context.Context) (done bool, err error) {
	if err := w.askSource(ctx); err != nil {
		return false, err
	}
	rows, err := status.Within(ctx, func(ctx context.Context) (map[string]ledger.Complete, error) { return ReadComplete(ctx, w.ledger) })
	if err != nil {
		return false, err
	}
	lacking, inexact := lack(rows, w.epoch, w.target, w.tables)
	w.lacking = lacking
	for _, table := range inexact {
		reason, err := status.Within(ctx, func(ctx context.Context) (*cdc.Problem, error) { return ReadQuarantine(ctx, w.ledger, table) })
		if err != nil {
			return false, err
		}
		if reason != nil && w.stays(table) {
			return false, cdc.Failed("waiting cannot make it exact").Of(ErrQuarantined).At(table).Because(reason).OrFix("%s", cdc.ResnapshotCommand(table))
		}
	}
	if lacking == "" {
		return true, nil
	}
	return false, w.checkCapture(ctx)
}

// settleTime is how long a quarantine must be seen for: at a start load may find what is missing just before capture
// says that it copies the table again.
const settleTime = 2 * time.Second

// stays reports whether a table that is quarantined was so for settleTime.
func (w *waiter) stays(table string) bool {
	if w.refused == nil {
		w.refused = map[string]time.Time{}
	}
	if w.refused[table].IsZero() {
		w.refused[table] = time.Now()
	}
	return time.Since(w.refused[table]) >= settleTime
}

// checkCapture is an error if no capture runs. A Postgres that is away does not matter here: ClickHouse may still
// become complete.
func (w *waiter) checkCapture(ctx context.Context) error {
	if !w.watch.Due() {
		return nil
	}
	checking, cancel := context.WithTimeout(ctx, watchInterval)
	defer cancel()
	if err := Reconnect(checking, &w.source, w.Source); err != nil {
		return nil //nolint:nilerr // see above
	}
	return w.watch.Check(checking, w.source)
}

func (w *waiter) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	w.source.Close(ctx)
}

// askSource finds out, once, what to wait for.
func (w *waiter) askSource(ctx context.Context) (err error) {
	if w.asked {
		return nil
	}
	if err := w.askEpoch(ctx); err != nil {
		return err
	}
	if w.Tables != nil {
		if w.tables, err = w.Tables(ctx); err != nil {
			return err
		}
	}
	if err := Reconnect(ctx, &w.source, w.Source); err != nil {
		return err
	}
	if w.target, err = w.source.target(ctx); err == nil {
		w.asked, w.away = true, nil
	}
	return err
}

// askEpoch finds out, once, the epoch whose positions count.
func (w *waiter) askEpoch(ctx context.Context) (err error) {
	if w.Epoch == nil || w.epoched {
		return nil
	}
	if w.epoch, err = w.Epoch(ctx); errors.Is(err, cdc.ErrUnreachable) {
		w.away = err // names the server that hangs, also at the timeout
	}
	w.epoched = err == nil
	return err
}

// nothingYet is what is missing before the first copy is loaded.
const nothingYet = "it is complete up to nothing yet"

// lack says what is missing, "" if nothing is. inexact names the tables that are not exact, once everything else is
// complete: before that a new copy may still be to come.
func lack(rows map[string]ledger.Complete, epoch uint32, target cdc.LSN, tables []string) (what string, inexact []string) {
	switch all, known := rows[""]; {
	case !known:
		return nothingYet, nil
	case all.Epoch < epoch:
		return fmt.Sprintf("it is complete up to epoch %d, capture is at epoch %d", all.Epoch, epoch), nil
	case all.LSN < target:
		return fmt.Sprintf("it is complete up to %s, not yet up to %s", all.LSN, target), nil
	}
	for name, row := range rows {
		if name != "" && !row.Exact {
			inexact = append(inexact, name)
		}
	}
	for _, name := range tables {
		if _, known := rows[name]; !known {
			inexact = append(inexact, name)
		}
	}
	if len(inexact) == 0 {
		return "", nil
	}
	slices.Sort(inexact)
	return "not exact: " + strings.Join(inexact, ", "), inexact
}
