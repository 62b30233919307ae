package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
)

// WaitOptions of WaitComplete.
type WaitOptions struct {
	// Source is the URL of the primary; it may hold a password and is never printed.
	Source     string
	ClickHouse driver.Conn
	Database   string
	// Tables gives those that must be exact, "schema.table", besides those that complete_up_to knows. It is asked until it
	// answers; an error that wraps ErrUnreachable or cdc.ErrUnreachable means again. Nil means none.
	Tables func(context.Context) ([]string, error)
	// Timeout after which it is ErrBehind or ErrUnreachable; 0 means 60 seconds.
	Timeout time.Duration
}

// WaitComplete returns once ClickHouse is complete up to the source's position at the moment of the call and every table is
// exact (rule 24). On a primary it commits a logical message and waits for its position, since an idle log would never get
// there; on a standby it waits for what has been replayed.
//
// A server that does not answer is asked again until the timeout, which holds whatever a server does. ErrUnreachable says that
// none did then; ErrQuarantined ends the wait early.
func WaitComplete(ctx context.Context, o WaitOptions) error {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	bounded, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	w := &waiter{WaitOptions: o, complete: completion{o.ClickHouse, o.Database}}
	err := w.until(bounded)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() == nil || err == nil:
		return err
	case w.lacking == "": // no answer yet, or none any more
		return w.unreachable()
	}
	return fmt.Errorf("%w: after %s %s. Try: dirtbike status", ErrBehind, o.Timeout, w.lacking)
}

// waiter is one wait.
type waiter struct {
	WaitOptions
	complete completion
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
		return fmt.Errorf("%w: ClickHouse hangs: nothing within %s. Try: see that ClickHouse runs and clickhouse.url is right", ErrUnreachable, w.Timeout)
	}
	return fmt.Errorf("%w: Postgres hangs: nothing within %s. Try: see that Postgres runs and source.url is right", ErrUnreachable, w.Timeout)
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

func isAway(err error) bool {
	return errors.Is(err, ErrUnreachable) || errors.Is(err, cdc.ErrUnreachable)
}

// ask asks each server once.
func (w *waiter) ask(ctx context.Context) (done bool, err error) {
	if err := w.askSource(ctx); err != nil {
		return false, err
	}
	rows, err := within(ctx, w.complete.read)
	if err != nil {
		return false, err
	}
	lacking, inexact := lack(rows, w.target, w.tables)
	w.lacking = lacking
	for _, table := range inexact {
		reason, err := within(ctx, func(ctx context.Context) (string, error) { return w.complete.reason(ctx, table) })
		if err != nil {
			return false, err
		}
		if reason != "" {
			return false, fmt.Errorf("%w and cannot become exact by waiting: %s: %s. Try: exclude it under source.tables and restart capture, then name it again and restart: it is copied anew", ErrQuarantined, table, reason)
		}
	}
	return lacking == "", nil
}

// askSource finds out, once, what to wait for.
func (w *waiter) askSource(ctx context.Context) (err error) {
	if w.asked {
		return nil
	}
	if w.Tables != nil {
		if w.tables, err = w.Tables(ctx); err != nil {
			return err
		}
	}
	s, err := connect(ctx, w.Source)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.close(closing)
	}()
	w.target, err = s.target(ctx)
	if err == nil {
		w.asked, w.away = true, nil
	}
	return err
}

// within gives up a call of ClickHouse's client when ctx ends: the client itself may stay in a read of a server that hangs. It
// is not told the deadline, since it would report that as the server's failure.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		value, err := call(calling)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *source) target(ctx context.Context) (cdc.LSN, error) {
	standby, err := s.text(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return 0, err
	}
	if standby == "f" {
		return s.nudge(ctx, "wait")
	}
	at, err := s.text(ctx, "SELECT pg_last_wal_replay_lsn()")
	if err != nil {
		return 0, err
	}
	return cdc.ParseLSN(at)
}

// lack says what is missing, "" if nothing is. inexact names the tables that are not exact, once everything else is complete:
// before that a new copy may still be to come.
func lack(rows map[string]completeRow, target cdc.LSN, tables []string) (what string, inexact []string) {
	all, known := rows[""]
	if !known {
		return "it is complete up to nothing yet", nil
	}
	if all.lsn < target {
		return fmt.Sprintf("it is complete up to %s, not yet up to %s", all.lsn, target), nil
	}
	for name, row := range rows {
		if name != "" && !row.exact {
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
