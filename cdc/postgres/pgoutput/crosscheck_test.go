package pgoutput

import (
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestAgainstPglogrepl decodes the goldens with an independent decoder and compares field by field. The LSN of
// parallel aborts it does not know; that is judged by its golden alone.
func TestAgainstPglogrepl(t *testing.T) {
	compared := map[Kind]int{}
	for _, g := range messageGoldens(t) {
		g.each(t, func(i int, b []byte, streaming bool, m Message) {
			parse := pglogrepl.Parse
			if !strings.HasPrefix(g.scenario.options[0], protocol1) {
				parse = func(b []byte) (pglogrepl.Message, error) { return pglogrepl.ParseV2(b, streaming) }
			}
			theirs, err := parse(b)
			if err != nil {
				require.True(t, unknownToPglogrepl(m), "message %d of %s: %v", i, g.scenario.name, err)
				return
			}
			compared[kindOf(m)]++
			compare(t, m, plain(theirs), xidOf(theirs))
		})
	}
	require.Len(t, compared, 14, "kinds compared: %v", compared)
}

// unknownToPglogrepl: a row without columns, which it finds too short.
func unknownToPglogrepl(m Message) bool {
	row, is := m.(*Insert)
	return is && len(row.New) == 0
}

// plain takes protocol 1's struct out of protocol 2's.
func plain(m pglogrepl.Message) pglogrepl.Message {
	switch m := m.(type) {
	case *pglogrepl.InsertMessageV2:
		return &m.InsertMessage
	case *pglogrepl.UpdateMessageV2:
		return &m.UpdateMessage
	case *pglogrepl.DeleteMessageV2:
		return &m.DeleteMessage
	case *pglogrepl.TruncateMessageV2:
		return &m.TruncateMessage
	case *pglogrepl.RelationMessageV2:
		return &m.RelationMessage
	case *pglogrepl.TypeMessageV2:
		return &m.TypeMessage
	case *pglogrepl.LogicalDecodingMessageV2:
		return &m.LogicalDecodingMessage
	}
	return m
}

func xidOf(m pglogrepl.Message) uint32 {
	switch m := m.(type) {
	case *pglogrepl.InsertMessageV2:
		return m.Xid
	case *pglogrepl.UpdateMessageV2:
		return m.Xid
	case *pglogrepl.DeleteMessageV2:
		return m.Xid
	case *pglogrepl.TruncateMessageV2:
		return m.Xid
	case *pglogrepl.RelationMessageV2:
		return m.Xid
	case *pglogrepl.TypeMessageV2:
		return m.Xid
	case *pglogrepl.LogicalDecodingMessageV2:
		return m.Xid
	}
	return 0
}

func compare(t *testing.T, ours Message, theirs pglogrepl.Message, xid uint32) {
	t.Helper()
	switch their := theirs.(type) {
	case *pglogrepl.InsertMessage:
		our := ours.(*Insert)
		require.Equal(t, []uint32{xid, their.RelationID}, []uint32{our.XID, our.RelationOID})
		require.Equal(t, columnsOf(their.Tuple), our.New)
	case *pglogrepl.UpdateMessage:
		our := ours.(*Update)
		require.Equal(t, []uint32{xid, their.RelationID}, []uint32{our.XID, our.RelationOID})
		require.Equal(t, cdc.OldKind(their.OldTupleType), our.OldKind)
		if our.OldKind == cdc.OldNone {
			require.Empty(t, our.Old)
		} else {
			require.Equal(t, columnsOf(their.OldTuple), our.Old)
		}
		require.Equal(t, columnsOf(their.NewTuple), our.New)
	case *pglogrepl.DeleteMessage:
		our := ours.(*Delete)
		require.Equal(t, []uint32{xid, their.RelationID}, []uint32{our.XID, our.RelationOID})
		require.Equal(t, cdc.OldKind(their.OldTupleType), our.OldKind)
		require.Equal(t, columnsOf(their.OldTuple), our.Old)
	case *pglogrepl.TruncateMessage:
		require.Equal(t, &Truncate{
			XID: xid, Cascade: their.Option&pglogrepl.TruncateOptionCascade != 0,
			RestartIdentity: their.Option&pglogrepl.TruncateOptionRestartIdentity != 0, RelationOIDs: their.RelationIDs,
		}, ours)
	case *pglogrepl.RelationMessage:
		compareRelation(t, ours.(*Relation), their, xid)
	case *pglogrepl.TypeMessage:
		require.Equal(t, &Type{XID: xid, OID: their.DataType, Namespace: their.Namespace, Name: their.Name}, ours)
	case *pglogrepl.LogicalDecodingMessage:
		require.Equal(t, &LogicalMessage{
			XID: xid, Transactional: their.Transactional, LSN: cdc.LSN(their.LSN), Prefix: their.Prefix, Content: their.Content,
		}, ours)
	default:
		compareBoundary(t, ours, theirs)
	}
}

func compareBoundary(t *testing.T, ours Message, theirs pglogrepl.Message) {
	t.Helper()
	switch their := theirs.(type) {
	case *pglogrepl.BeginMessage:
		our := ours.(*Begin)
		require.Equal(t, Begin{FinalLSN: cdc.LSN(their.FinalLSN), CommitTime: our.CommitTime, XID: their.Xid}, *our)
		require.True(t, their.CommitTime.Equal(our.CommitTime.Time()))
	case *pglogrepl.CommitMessage:
		our := ours.(*Commit)
		require.Equal(t, Commit{LSN: cdc.LSN(their.CommitLSN), EndLSN: cdc.LSN(their.TransactionEndLSN), Time: our.Time}, *our)
		require.True(t, their.CommitTime.Equal(our.Time.Time()))
	case *pglogrepl.OriginMessage:
		require.Equal(t, &Origin{LSN: cdc.LSN(their.CommitLSN), Name: their.Name}, ours)
	case *pglogrepl.StreamStartMessageV2:
		require.Equal(t, &StreamStart{XID: their.Xid, First: their.FirstSegment == 1}, ours)
	case *pglogrepl.StreamStopMessageV2:
		require.IsType(t, &StreamStop{}, ours)
	case *pglogrepl.StreamCommitMessageV2:
		our := ours.(*StreamCommit)
		require.Equal(t, StreamCommit{XID: their.Xid, LSN: cdc.LSN(their.CommitLSN), EndLSN: cdc.LSN(their.TransactionEndLSN), Time: our.Time}, *our)
		require.True(t, their.CommitTime.Equal(our.Time.Time()))
	case *pglogrepl.StreamAbortMessageV2:
		our := ours.(*StreamAbort)
		require.Equal(t, []uint32{their.Xid, their.SubXid}, []uint32{our.XID, our.SubXID})
	default:
		t.Fatalf("not compared: %T", theirs)
	}
}

func compareRelation(t *testing.T, our *Relation, their *pglogrepl.RelationMessage, xid uint32) {
	t.Helper()
	want := &Relation{XID: xid, Relation: cdc.WireRelation{
		OID: their.RelationID, Schema: their.Namespace, Name: their.RelationName,
		Identity: cdc.ReplicaIdentity(their.ReplicaIdentity), Columns: []cdc.WireColumn{},
	}}
	for _, c := range their.Columns {
		want.Relation.Columns = append(want.Relation.Columns, cdc.WireColumn{Key: c.Flags == 1, Name: c.Name, TypeOID: c.DataType, TypeMod: c.TypeModifier})
	}
	require.Equal(t, want, our)
}

// columnsOf turns their tuple into ours; testify distinguishes nil from empty, as the callers of this package do.
func columnsOf(tuple *pglogrepl.TupleData) cdc.Tuple {
	columns := cdc.Tuple{}
	for _, c := range tuple.Columns {
		columns = append(columns, cdc.Datum{Kind: cdc.DatumKind(c.DataType), Data: c.Data})
	}
	return columns
}
