package complete

import (
	"encoding/json"
	"fmt"
	"strconv"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// Format is the newest format of progress records that this release reads.
const Format = 1

// Record is the JSON of a record of the progress topic; cdc/EXACTNESS.md, "Formats".
type Record struct {
	Format    int    `json:"format"`
	Epoch     uint32 `json:"epoch"`
	CommitLSN string `json:"commit_lsn"`
	Ordinal   uint32 `json:"ordinal"`
	LSN       string `json:"lsn"`
	TimeUS    int64  `json:"time_us"`
	// Full says that the record names every offset and table, not only what changed since the one before.
	Full bool `json:"full"`
	// Offsets are the last offset + 1 of records up to this commit, by topic and partition.
	Offsets map[string]map[string]int64 `json:"offsets"`
	Tables  map[string]Table            `json:"tables"`

	point       ledger.Point
	constraints []constraint
}

// Table is what capture says of a table.
type Table struct {
	Phase      cdc.TablePhase `json:"phase"`
	Reason     string         `json:"reason"`
	Generation uint32         `json:"generation"`
}

// ParseRecord reads the value of a record of the progress topic. After an error the topic is not one that capture of
// this release, or an earlier one, has written.
func ParseRecord(value []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, cdc.Failed("progress record").Because(err).Fix("find out who else writes to the progress topic")
	}
	if r.Format > Format {
		return nil, cdc.Failed("progress record: format %d, this release reads %d", r.Format, Format).Fix("upgrade this one")
	}
	r.point = ledger.Point{Position: cdc.Position{Epoch: r.Epoch, Ordinal: r.Ordinal}, Time: r.TimeUS}
	var err error
	if r.point.Position.CommitLSN, err = cdc.ParseLSN(r.CommitLSN); err != nil {
		return nil, fmt.Errorf("progress record: %w", err)
	}
	if r.point.LSN, err = cdc.ParseLSN(r.LSN); err != nil {
		return nil, fmt.Errorf("progress record: %w", err)
	}
	for topic, offsets := range r.Offsets {
		for id, next := range offsets {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("progress record: topic %s: partition %q is no number", topic, id)
			}
			r.constraints = append(r.constraints, constraint{partition{topic, int32(n)}, next})
		}
	}
	for table, state := range r.Tables {
		if _, err := state.quarantine(table); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// quarantine is what capture's state of a table makes of its quarantine on the capture leg.
func (t Table) quarantine(table string) (ledger.Quarantine, error) {
	q := ledger.Quarantine{Table: table, Leg: ledger.LegCapture, Generation: t.Generation}
	switch t.Phase {
	case cdc.TableQuarantined:
		q.State, q.Reason = ledger.StateSkipping, t.Reason
	case cdc.TableExcluded:
		q.State, q.Reason = ledger.StateExcluded, "source.tables no longer names it, or it was dropped"
	case cdc.TableCopying, cdc.TableStreaming:
		q.State = ledger.StateClosed
	default:
		return q, cdc.Failed("progress record: table %s is in unknown phase %q: written by a newer release?", table, t.Phase).Fix("upgrade this one")
	}
	return q, nil
}

// epochShift makes a later epoch outrank every offset of an earlier one: the progress topic may be another then.
const epochShift = 40

// version orders what progress records say of a table: by epoch, then by the offset of the record, so that a replay
// cannot bring back an earlier state.
func (r *Record) version(offset int64) uint64 {
	return uint64(max(r.Epoch, 1)-1)<<epochShift + uint64(offset) + 1 //nolint:gosec // never negative
}
