package verify

import (
	"context"
	"errors"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
)

// errInexact says that a table cannot be compared now.
var errInexact = errors.New("the table is not exact")

// passed waits until complete_up_to of the table has reached lsn, and gives its epoch. Meanwhile it commits one logical
// message, so that an idle log reaches lsn, too. A table that is not exact is errInexact.
func (v *verifier) passed(ctx context.Context, table string, lsn cdc.LSN) (epoch uint32, err error) {
	watch, nudged := wait.CaptureWatch{Slot: v.Slot}, false
	var reached cdc.LSN
	ok, err := wait.Poll(ctx, v.Timeout, func() (bool, error) {
		rows, err := wait.ReadComplete(ctx, v.ledger)
		if err != nil {
			return false, err
		}
		row, known := rows[table]
		if !known || !row.Exact {
			return false, v.inexact(ctx, table, known)
		}
		epoch, reached = row.Epoch, row.LSN
		if reached >= lsn && epoch >= v.Epoch {
			return true, nil
		}
		if !nudged {
			nudged = true
			_, err = v.control.EmitMessage(ctx, "verify")
		}
		if err == nil && watch.Due() {
			err = watch.Check(ctx, v.control)
		}
		return false, err
	})
	if err == nil && !ok {
		if err = watch.NoCapture(); err == nil {
			err = cdc.Failed("table %s is complete up to %s, not yet up to %s, after %s", table, reached, lsn, v.Timeout).Of(wait.ErrBehind).Fix("dirtbike status")
		}
	}
	return epoch, err
}

func (v *verifier) inexact(ctx context.Context, table string, known bool) error {
	if !known {
		return cdc.Failed("ClickHouse does not know it yet").Of(errInexact)
	}
	reason, err := wait.ReadQuarantine(ctx, v.ledger, table)
	if err != nil {
		return err
	}
	if reason == nil {
		reason = cdc.Failed("its first copy has not ended")
	}
	return reason.Of(errInexact)
}
