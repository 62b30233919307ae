package cdc

import (
	"context"
	"encoding/json"
	"fmt"
)

// ControlKind is what a control record says (rules 11 and 13).
type ControlKind string

// The kinds of control records.
const (
	ControlTruncate ControlKind = "truncate" // rows of the table with a lower position are gone
	ControlOpen     ControlKind = "open"     // a generation begins
	ControlEnd      ControlKind = "end"      // all rows of a generation's copy are before it; its position is the cut P
)

// Control concerns a whole table, and stands at one place of its log: between the records of a chunk. It is written to
// the control topic, together with its place in each partition of the table's topic.
type Control struct {
	Kind                     ControlKind
	Topic                    *Topic // of the table
	Schema, Table            string // real names
	Generation, Number, Leaf uint32 // see ControlRecord
	Position                 Position
	CommitTime               int64  // microseconds since 1970-01-01 UTC
	XID                      uint32 // the transaction's id; 0 for an open or end
	ValueSchema              int    // the registry's id of the schema of the table's values
	After                    int    // how many records of the chunk come before it
}

// ControlRecord is a record of the control topic. JSON field names are a format.
//
// Controls of a generation are numbered: its open is 1, and each row says the number of the last one before it. So a
// reader knows whether it has all that a row depends on, although Kafka makes the two topics visible independently.
type ControlRecord struct {
	Format     int         `json:"format"`
	Kind       ControlKind `json:"kind"`
	Topic      string      `json:"topic"`
	TopicID    string      `json:"topic_id"` // Kafka's id of the topic, which distinguishes it from former ones of the name
	Schema     string      `json:"schema"`
	Table      string      `json:"table"`
	Generation uint32      `json:"generation"`
	Number     uint32      `json:"number"`
	Leaf       uint32      `json:"leaf"` // OID of the truncated partition of the table, 0 for all of it
	Epoch      uint32      `json:"epoch"`
	CommitLSN  LSN         `json:"commit_lsn"`
	Ordinal    uint32      `json:"ordinal"`
	TxID       uint32      `json:"tx_id"`
	TimeUS     int64       `json:"time_us"`
	// ValueSchema is the registry's id of the schema of the table's values at this point.
	ValueSchema int `json:"value_schema"`
	// Offsets is the record's place: by partition of the table's topic, the offset after the last record before it.
	Offsets map[int32]int64 `json:"offsets"`
	Offset  int64           `json:"-"` // its own, in the control topic
}

// Position is that of the TRUNCATE, for an end the cut P, for an open the stored position of capture.
func (c *ControlRecord) Position() Position {
	return Position{Epoch: c.Epoch, CommitLSN: c.CommitLSN, Ordinal: c.Ordinal}
}

// Sequence orders the controls of one topic.
func (c *ControlRecord) Sequence() uint64 { return ControlSequence(c.Generation, c.Number) }

// ControlSequence orders the controls of one topic by generation and number.
func ControlSequence(generation, number uint32) uint64 {
	return uint64(generation)<<32 | uint64(number)
}

// Key is the record's key: a later truncate of the same generation and leaf replaces an earlier one.
func (c *ControlRecord) Key() []byte {
	return fmt.Appendf(nil, "%s:%d:%d:%s", c.Kind, c.Generation, c.Leaf, c.Topic)
}

// ParseControl reads a record's value.
func ParseControl(value []byte) (c ControlRecord, err error) {
	if err := json.Unmarshal(value, &c); err != nil {
		return c, Refused("read control record").Because(err)
	}
	if c.Format != StateFormat {
		return c, Refused("read control record: it has format %d, this release reads %d", c.Format, StateFormat).Fix("run the release that wrote it")
	}
	switch c.Kind {
	case ControlTruncate, ControlOpen, ControlEnd:
	default:
		return c, Refused("read control record: unknown kind: written by a newer release?").Fix("upgrade this one")
	}
	for partition, next := range c.Offsets {
		if partition < 0 || next < 0 {
			return c, Refused("read control record: partition %d with offset %d", partition, next)
		}
	}
	return c, nil
}

// ControlLog is a part of the control topic.
type ControlLog struct {
	ID      [16]byte // Kafka's id of the topic; zero: there is none yet, or it was deleted
	Records []ControlRecord
	Next    int64 // the offset to go on from
	Foreign int   // how many records others have written there: they do not count
	// Open says that a transaction is open on the topic: not all that had been written is in Records.
	Open bool
	// More says that it ends before what is visible: one answer is bounded.
	More bool
}

// Controls reads the control topic of a pipeline.
type Controls interface {
	// Controls gives what captures of the pipeline have written to it, from an offset on, as far as it is visible. With
	// settled it waits, a fraction of a second, for all that had been written when it was called; Open says that this
	// is not in: a transaction stays open, as one does that a killed capture has left, until it times out.
	Controls(ctx context.Context, from int64, settled bool) (ControlLog, error)
}
