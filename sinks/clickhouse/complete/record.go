package complete

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// ErrProgress says that a record of the progress topic cannot be read, so that it is not known what is complete.
var ErrProgress = errors.New("a progress record cannot be read")

// Record is a record of the progress topic, and what it means.
type Record struct {
	cdc.Progress
	point       ledger.Point
	topics      map[string]string // of Offsets, with their tables
	constraints []constraint
	states      []ledger.Quarantine // of Tables, without a version
}

// ParseRecord reads the value of a record of the progress topic of the pipeline with this prefix. After an error the
// topic is not one that capture of this release, or of an earlier one, has written.
func ParseRecord(prefix string, value []byte) (*Record, error) {
	var r Record
	err := json.Unmarshal(value, &r.Progress)
	if err == nil {
		err = r.fill(prefix)
	}
	if err == nil {
		return &r, nil
	}
	problem := &cdc.Problem{Kind: ErrProgress, Cause: err}
	if r.Format > 0 && r.Format < cdc.StateFormat {
		return nil, problem.Fix("run the release that wrote it").Fix("delete the pipeline's topics (dirtbike explain pipeline-topics), then %s", cdc.ResnapshotAllCommand)
	}
	return nil, problem.Fix("find out who else writes to the progress topic, or upgrade this release")
}

// fill computes from the JSON fields what they mean.
func (r *Record) fill(prefix string) (err error) {
	if r.Format != cdc.StateFormat {
		return fmt.Errorf("it has format %d, this release reads %d", r.Format, cdc.StateFormat)
	}
	r.point = ledger.Point{Position: r.Position(), LSN: r.LSN, Time: r.TimeUS}
	r.topics = map[string]string{}
	r.fillControls()
	for topic, offsets := range r.Offsets {
		schema, table, ok := schemas.SplitTopic(topic, prefix)
		if !ok {
			return fmt.Errorf("topic %q is no table's", topic)
		}
		r.topics[topic] = schema + "." + table
		for id, next := range offsets {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				return fmt.Errorf("topic %s: partition %q is no number", topic, id)
			}
			r.constraints = append(r.constraints, constraint{partition{topic, int32(n)}, next})
		}
	}
	for table, state := range r.Tables {
		q, err := quarantineOf(table, state)
		if err != nil {
			return err
		}
		r.states = append(r.states, q)
	}
	return nil
}

// quarantineOf is the quarantine on the capture leg that follows from capture's state of a table.
func quarantineOf(table string, t cdc.TableProgress) (ledger.Quarantine, error) {
	q := ledger.Quarantine{Table: table, Leg: ledger.LegCapture, Generation: t.Generation}
	switch t.Phase {
	case cdc.TableQuarantined:
		q.State, q.Reason = ledger.StateSkipping, t.Reason
	case cdc.TableExcluded:
		return excluded(table, t.Generation), nil
	case cdc.TableCopying, cdc.TableStreaming:
		q.State = ledger.StateClosed
	default:
		return q, fmt.Errorf("table %s is in unknown phase %q", table, t.Phase)
	}
	return q, nil
}

func excluded(table string, generation uint32) ledger.Quarantine {
	return ledger.Quarantine{
		Table: table, Leg: ledger.LegCapture, State: ledger.StateExcluded, Generation: generation,
		Reason: "source.tables no longer names it, or it was dropped",
	}
}

// epochShift makes a later epoch outrank every offset of an earlier one: the progress topic may be another then.
const epochShift = 40

// version orders the states of a table in progress records: by epoch, then by the offset of the record, so that a
// replay cannot bring back an earlier state.
func (r *Record) version(offset int64) uint64 {
	return uint64(max(r.Epoch, 1)-1)<<epochShift + uint64(offset) + 1 //nolint:gosec // never negative
}

// fillControls makes a constraint of each control record that a table has come to: it must be applied on every
// partition.
func (r *Record) fillControls() {
	for name, t := range r.Tables {
		if t.Controls == 0 || t.Topic == "" || t.Phase == cdc.TableExcluded {
			continue
		}
		r.topics[t.Topic] = name
		for id := range t.Partitions {
			next := int64(cdc.ControlSequence(t.Generation, t.Controls)) //nolint:gosec // generations are small
			r.constraints = append(r.constraints, constraint{partition{t.Topic, ledger.ControlsOf(id)}, next})
		}
	}
}
