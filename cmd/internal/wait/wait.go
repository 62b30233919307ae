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

// Options of Complete.
type Options struct {
	// Source is the URL of the primary; it may hold a password and is never printed.
	Source     string
	ClickHouse driver.Conn
	Database   string
	// Tables gives those that must be exact, "schema.table", besides those that complete_up_to knows. It is asked until
	// it answers; an error that wraps cdc.ErrUnreachable or cdc.ErrUnreachable means again. Nil means none.
	Tables func(context.Context) ([]string, error)
	// Epoch gives the one that capture writes under: what is complete under a former one is not complete. It is asked
	// like Tables, before anything else. 0, and nil, mean any.
	Epoch func(context.Context) (uint32, error)
	// Slot from which capture reads; "" does not check whether a capture is there.
	Slot string
	// Timeout after which it is ErrBehind or cdc.ErrUnreachable; 0 means 60 seconds.
	Timeout time.Duration
}

// Complete returns once ClickHouse is complete up to the source's position at the moment of the call and every table is
// exact (rule 24). On a primary it commits a logical message and waits for its position, since an idle log would never
// get there; on a standby it waits for what has been replayed.
//
// A server that does not answer is asked again until the timeout, which a server that hangs does not delay.
// cdc.ErrUnreachable says that none did then; ErrQuarantined ends the wait early, and so does ErrNobody once nobody has
// captured for 15 seconds.
func Complete(ctx context.Context, o Options) error {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	bounded, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	w := &waiter{Options: o, complete: CompleteUpTo{ledger.New(o.ClickHouse, o.Database)}, watch: CaptureWatch{Slot: o.Slot}}
	defer w.close(context.WithoutCancel(ctx))
	err := w.until(bounded)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() == nil || err == nil:
		return err
	case w.lacking == "": // no answer yet, or none any more
		return w.unreachable()
	case w.watch.Nobody() != nil:
		return w.watch.Nobody()
	}
	return cdc.Failed("after %s %s", o.Timeout, w.lacking).Of(ErrBehind).Fix("dirtbike status")
}

// waiter is one wait.
type waiter struct {
	Options
	complete CompleteUpTo
	source   *Source // nil until it is needed
	watch    CaptureWatch
	epoched  bool // epoch is known
	epoch    uint32
	asked    bool // tables and target are known
	tables   []string
	target   cdc.LSN
	lacking  string // what the last answer lacked; "" while a server is away
	away     error  // why the last question got none
}

// unreachable names the server that did not answer.
func (w *waiter) unreachable() error {
	switch {
	case w.away != nil:
		return w.away
	case w.asked:
		return hangs("ClickHouse", "clickhouse.url", w.Timeout)
	}
	return hangs("Postgres", "source.url", w.Timeout)
}

// hangs says that a part took a question and did not answer in time.
func hangs(part, url string, timeout time.Duration) *cdc.Problem {
	return cdc.Failed("%s hangs: nothing within %s", part, timeout).Of(cdc.ErrUnreachable).Fix("see that %s runs and %s is right", part, url)
}

// until asks until all is complete, or waiting cannot help, or ctx ends.
func (w *waiter) until(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		done, err := w.ask(ctx)
		switch {
		case ctx.Err() != nil && !done:
			return ctx.Err()
		case isAway(err):
			w.lacking, w.away = "", err
		case done || err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func isAway(err error) bool { return errors.Is(err, cdc.ErrUnreachable) }

// ask asks each server once.
func (w *waiter) ask(ctx context.Context) (done bool, err error) {
	if err := w.askSource(ctx); err != nil {
		return false, err
	}
	rows, err := status.Within(ctx, w.complete.Read)
	if err != nil {
		return false, err
	}
	lacking, inexact := lack(rows, Position{w.epoch, w.target}, w.tables)
	w.lacking = lacking
	for _, table := range inexact {
		reason, err := status.Within(ctx, func(ctx context.Context) (*cdc.Problem, error) { return w.complete.Quarantine(ctx, table) })
		if err != nil {
			return false, err
		}
		if reason != nil {
			return false, cdc.Failed("waiting cannot make it exact").Of(ErrQuarantined).At(table).Because(reason).OrFix("%s", cdc.ResnapshotCommand(table))
		}
	}
	if lacking == "" {
		return true, nil
	}
	return false, w.checkCapture(ctx)
}

// checkCapture is an error if no capture runs. A Postgres that is away does not matter here: ClickHouse may still
// become complete.
func (w *waiter) checkCapture(ctx context.Context) error {
	if w.Slot == "" || !w.watch.Due() {
		return nil
	}
	checking, cancel := context.WithTimeout(ctx, watchInterval)
	defer cancel()
	if err := w.connect(checking); err != nil {
		return nil //nolint:nilerr // see above
	}
	return w.watch.Check(checking, w.source)
}

// connect opens the connection to Postgres if it is not open.
func (w *waiter) connect(ctx context.Context) (err error) {
	if w.source != nil && !w.source.Conn.IsClosed() {
		return nil
	}
	w.source, err = Connect(ctx, w.Source)
	return err
}

func (w *waiter) close(ctx context.Context) {
	if w.source != nil {
		closing, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		w.source.Close(closing)
	}
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
	if err := w.connect(ctx); err != nil {
		return err
	}
	w.target, err = w.source.target(ctx)
	if err == nil {
		w.asked, w.away = true, nil
	}
	return err
}

// askEpoch finds out, once, whose positions count.
func (w *waiter) askEpoch(ctx context.Context) (err error) {
	if w.Epoch == nil || w.epoched {
		return nil
	}
	if w.epoch, err = w.Epoch(ctx); isAway(err) {
		w.away = err // it names who hangs, also if the time ends with it
	}
	w.epoched = err == nil
	return err
}

func (s *Source) target(ctx context.Context) (cdc.LSN, error) {
	standby, err := s.Text(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return 0, err
	}
	if standby == "f" {
		return s.EmitMessage(ctx, "wait")
	}
	at, err := s.Text(ctx, "SELECT pg_last_wal_replay_lsn()")
	if err != nil {
		return 0, err
	}
	return cdc.ParseLSN(at)
}

// lack says what is missing, "" if nothing is. inexact names the tables that are not exact, once everything else is
// complete: before that a new copy may still be to come.
func lack(rows map[string]CompleteRow, target Position, tables []string) (what string, inexact []string) {
	all, known := rows[""]
	if !known {
		return "it is complete up to nothing yet", nil
	}
	if all.Epoch < target.Epoch {
		return fmt.Sprintf("it is complete up to epoch %d, capture is at epoch %d", all.Epoch, target.Epoch), nil
	}
	if all.LSN < target.LSN {
		return fmt.Sprintf("it is complete up to %s, not yet up to %s", all.LSN, target.LSN), nil
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
