package cdc

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// Members names the catalog rows by which a publication publishes one table, each so that it never comes back once it is gone. A
// table was published without interruption from one look to a later one if some member of the first is still there at the second.
type Members []string

// Share reports whether some member of m is among those of now: the table has not left the publication in between.
func (m Members) Share(now Members) bool {
	return slices.ContainsFunc(m, func(member string) bool { return slices.Contains(now, member) })
}

// settleMembers compares what publishes each table now with what did when its state was written. A table that is not published, or
// that left and came back, gets a new generation: its changes meanwhile were not sent. The others keep what publishes them now, so
// that a member added since then may carry them on; one that is added and takes over between two starts makes a copy that was not
// needed. A state without members, written by an earlier build, adopts those of now.
func (s *session) settleMembers(members map[uint32]Members) []StateChange {
	var changed []StateChange
	for _, t := range s.live {
		now, stored := members[t.OID], t.state.Members
		switch {
		case t.state.Phase != TableStreaming || len(now) > 0 && slices.Equal(stored, now):
			continue
		case len(now) == 0 || len(stored) > 0 && !stored.Share(now):
			s.Log.Warn("table was taken out of the publication, or the publication was altered, so changes may have been missed; it is copied again", zap.String("table", t.FullName()))
			t.state.Phase = TableCopying
		default:
			t.state.Members = now
		}
		changed = append(changed, t.state)
	}
	return changed
}

// noteMembers keeps what publishes the tables that are about to be copied; the end of the copy writes it. It stands behind
// EnsurePublication and before the snapshot, so that as long as one of these members stays, everything behind the snapshot is sent.
func (s *session) noteMembers(ctx context.Context, tables []*liveTable) error {
	asked := make([]*Table, len(tables))
	for i, t := range tables {
		asked[i] = t.Table
	}
	_, members, err := s.Source.Published(ctx, asked)
	if err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	for _, t := range tables {
		if t.state.Members = members[t.OID]; len(t.state.Members) == 0 {
			return fmt.Errorf("table %s left the publication while its copy was prepared; nothing of it was read, it is tried again. Try: keep it there while capture starts", t.FullName())
		}
	}
	return nil
}
