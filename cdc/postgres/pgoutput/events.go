package pgoutput

import (
	"fmt"

	"dirtbike/cdc"
)

// Events implements cdc.FrameDecoder: it turns the frames of a protocol-1 session (no streaming, no two-phase) into events.
// It allocates nothing for rows.
type Events struct {
	decoder  Decoder
	old, new cdc.Tuple
}

var _ cdc.FrameDecoder = (*Events)(nil)

// Decode implements cdc.FrameDecoder.
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
	*e = cdc.Event{LSN: frame.WALStart}
	ok, err = d.fill(message, e)
	return ok, false, err
}

// fill names every message kind; those of streamed and prepared transactions cannot come in such a session and are errors.
func (d *Events) fill(message Message, e *cdc.Event) (bool, error) {
	switch m := message.(type) {
	case *Insert:
		d.new = tuple(d.new, m.New)
		e.Kind, e.Relation, e.New = cdc.EventInsert, m.RelationOID, d.new
	case *Update:
		d.old, d.new = tuple(d.old, m.Old), tuple(d.new, m.New)
		e.Kind, e.Relation, e.OldKind, e.Old, e.New = cdc.EventUpdate, m.RelationOID, cdc.OldKind(m.OldKind), d.old, d.new
	case *Delete:
		d.old = tuple(d.old, m.Old)
		e.Kind, e.Relation, e.OldKind, e.Old = cdc.EventDelete, m.RelationOID, cdc.OldKind(m.OldKind), d.old
	case *Begin:
		e.Kind, e.CommitLSN, e.CommitTime, e.XID = cdc.EventBegin, m.FinalLSN, m.CommitTime.Time().UnixMicro(), m.XID
	case *Commit:
		e.Kind, e.CommitLSN, e.EndLSN, e.CommitTime = cdc.EventCommit, m.LSN, m.EndLSN, m.Time.Time().UnixMicro()
	case *Truncate:
		e.Kind, e.Relations = cdc.EventTruncate, m.RelationOIDs
	case *Relation:
		e.Kind, e.Described = cdc.EventRelation, wireRelation(m)
	case *Type, *Origin, *LogicalMessage:
		return false, nil
	default:
		return false, fmt.Errorf("at %s: %s in a session without streaming and two-phase", e.LSN, message.Kind())
	}
	return true, nil
}

// tuple copies the columns' headers, not their bytes, into reused memory.
func tuple(dst cdc.Tuple, t Tuple) cdc.Tuple {
	dst = dst[:0]
	for _, c := range t.Columns {
		dst = append(dst, cdc.Datum{Kind: cdc.DatumKind(c.Kind), Data: c.Data})
	}
	return dst
}

func wireRelation(m *Relation) *cdc.WireRelation {
	w := &cdc.WireRelation{OID: m.OID, Schema: m.Namespace, Name: m.Name, Identity: byte(m.Identity)}
	if w.Schema == "" {
		w.Schema = "pg_catalog"
	}
	for _, c := range m.Columns {
		w.Columns = append(w.Columns, cdc.WireColumn{Name: c.Name, TypeOID: c.TypeOID, TypeMod: c.TypeMod, Key: c.Key})
	}
	return w
}
