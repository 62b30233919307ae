package cdc

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Visibility says which transactions a snapshot sees. A commit is in the log, and streamed, before others see it: it
// may wait for a synchronous standby.
type Visibility struct {
	End     uint64   // the first transaction id that was not given out yet
	Running []uint64 // those below it that had not ended, ascending
}

var errVisibility = errors.New("pg_catalog.pg_current_snapshot() gave another form than xmin:xmax:xip,xip")

// ParseVisibility reads pg_snapshot's text form, "xmin:xmax:xip,xip,…", of 64-bit ids.
func ParseVisibility(snapshot string) (v Visibility, err error) {
	parts := strings.Split(snapshot, ":")
	if len(parts) != 3 {
		return v, errVisibility
	}
	if v.End, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return v, errVisibility
	}
	for running := range strings.SplitSeq(parts[2], ",") {
		if running == "" {
			continue
		}
		id, err := strconv.ParseUint(running, 10, 64)
		if err != nil {
			return v, errVisibility
		}
		v.Running = append(v.Running, id)
	}
	slices.Sort(v.Running)
	return v, nil
}

// Sees reports whether the snapshot sees what a committed transaction did. The 32-bit id, as pgoutput has it, is taken
// to lie within two thousand million ids of the snapshot's end, as Postgres does.
func (v Visibility) Sees(xid uint32) bool {
	ahead := int32(xid - uint32(v.End)) //nolint:gosec // ids are compared modulo 2^32
	if ahead >= 0 {
		return false
	}
	_, running := slices.BinarySearch(v.Running, v.End+uint64(int64(ahead))) //nolint:gosec // the 64-bit id, just below the end
	return !running
}
