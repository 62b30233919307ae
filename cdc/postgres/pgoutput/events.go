package pgoutput

import (
	"errors"
	"fmt"

	"dirtbike/cdc"
)

// Events turns the frames of a protocol-1 session (no streaming, no two-phase) into cdc.Events. The zero value is
// ready. It allocates nothing for rows, and is for one goroutine.
type Events struct{ decoder Decoder }

// Decode fills e from one frame; e aliases b and memory of d, and is valid until the next call. ok is false for
// messages without an event (Origin, Type, a logical message). replyRequested says that the server waits for a status
// now.
func (d *Events) Decode(b []byte, e *cdc.Event) (ok, replyRequested bool, err error) {
	frame, err := ParseFrame(b)
	if err != nil {
		return false, false, err
	}
	if frame.Kind == FrameKeepalive {
		*e = cdc.Event{Kind: cdc.EventKeepalive, LSN: frame.WALEnd, WALEnd: frame.WALEnd, ServerTime: frame.ServerTime.Time().UnixMicro()}
		return true, frame.ReplyRequested, nil
	}
	message, err := d.decoder.Decode(frame.Data, false)
	if err != nil {
		return false, false, fmt.Errorf("at %s: %w", frame.WALStart, err)
	}
	*e = cdc.Event{LSN: frame.WALStart, ServerTime: frame.ServerTime.Time().UnixMicro()}
	if ok, err = fill(message, e); err != nil {
		err = fmt.Errorf("at %s: %s %w", e.LSN, Kind(frame.Data[0]), err)
	}
	return ok, false, err
}

var errStreamed = errors.New("in a session without streaming")

// fill names every message; those of streamed transactions cannot come in such a session and are errors.
func fill(message Message, e *cdc.Event) (bool, error) {
	switch m := message.(type) {
	case *Insert:
		e.Kind, e.Relation, e.New = cdc.EventInsert, m.RelationOID, m.New
	case *Update:
		e.Kind, e.Relation, e.OldKind, e.Old, e.New = cdc.EventUpdate, m.RelationOID, m.OldKind, m.Old, m.New
	case *Delete:
		e.Kind, e.Relation, e.OldKind, e.Old = cdc.EventDelete, m.RelationOID, m.OldKind, m.Old
	case *Begin:
		e.Kind, e.CommitLSN, e.CommitTime, e.XID = cdc.EventBegin, m.FinalLSN, m.CommitTime.Time().UnixMicro(), m.XID
	case *Commit:
		e.Kind, e.CommitLSN, e.EndLSN, e.CommitTime = cdc.EventCommit, m.LSN, m.EndLSN, m.Time.Time().UnixMicro()
	case *Truncate:
		e.Kind, e.Relations = cdc.EventTruncate, m.RelationOIDs
	case *Relation:
		e.Kind, e.Described = cdc.EventRelation, &m.Relation
	case *Type, *Origin, *LogicalMessage:
		return false, nil
	default:
		return false, errStreamed
	}
	return true, nil
}
