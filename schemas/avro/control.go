package avro

import (
	"errors"
	"fmt"
	"math"

	"dirtbike/cdc"
)

// ControlKind is what a control record says.
type ControlKind string

// The kinds of control records (rules 11 and 13).
const (
	ControlTruncate ControlKind = "truncate"
	ControlOpen     ControlKind = "open"
	ControlEnd      ControlKind = "end"
)

// Control is the key of a control record.
type Control struct {
	Kind             ControlKind
	Generation, Leaf uint32 // the table's; Leaf the OID of the truncated partition, 0 for the whole table
	Partition        int32  // the topic's partition that the record is in
}

func (c Control) appendTo(dst []byte) []byte {
	dst = appendString(dst, string(c.Kind))
	dst = appendLong(appendLong(dst, int64(c.Generation)), int64(c.Leaf))
	return appendLong(dst, int64(c.Partition))
}

// ReadControl reads the payload (without the Confluent header) of a key whose schema IsControl.
func ReadControl(payload []byte) (Control, error) {
	kind, b, err := ReadBytes(payload)
	if err != nil {
		return Control{}, fmt.Errorf("read control record: %w", err)
	}
	var longs [3]int64
	for i := range longs {
		if longs[i], b, err = ReadLong(b); err != nil {
			return Control{}, fmt.Errorf("read control record: %w", err)
		}
	}
	if len(b) != 0 {
		return Control{}, errors.New("read control record: bytes are left over")
	}
	if !inRange(longs[0], math.MaxUint32) || !inRange(longs[1], math.MaxUint32) || !inRange(longs[2], math.MaxInt32) {
		return Control{}, errors.New("read control record: a number is out of range")
	}
	c := Control{Kind: ControlKind(kind), Generation: uint32(longs[0]), Leaf: uint32(longs[1]), Partition: int32(longs[2])} //nolint:gosec // checked above
	switch c.Kind {
	case ControlTruncate, ControlOpen, ControlEnd:
		return c, nil
	}
	return Control{}, cdc.Failed("read control record: unknown kind: written by a newer release?").Fix("upgrade this one")
}

func inRange(n, most int64) bool { return n >= 0 && n <= most }
