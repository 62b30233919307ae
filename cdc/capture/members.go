package capture

import (
	"context"
	"dirtbike/cdc"
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// settleMembers compares what publishes each table now with what did when its state was written. A table that is not published, or
// that left and came back, gets a new generation: its changes meanwhile were not sent. The others keep what publishes them now, so
// that a member added since then may carry them on; one that is added and takes over between two starts makes a copy that was not
// needed. A state without members, written by an earlier build, adopts those of now.
func (s *session) settleMembers(members map[uint32]cdc.PublishedBy) []cdc.StateChange {
	var changed []cdc.StateChange
	for _, t := range s.live {
		now, stored := members[t.OID], t.state.PublishedBy
		switch {
		case t.state.Phase != cdc.TableStreaming || len(now) > 0 && slices.Equal(stored, now):
			continue
		case len(now) == 0 || len(stored) > 0 && !stored.SharesWith(now):
			s.Log.Warn("table was taken out of the publication, or the publication was altered, so changes may have been missed; it is copied again", zap.String("table", t.FullName()))
			t.state.Phase = cdc.TableCopying
		default:
			t.state.PublishedBy = now
		}
		changed = append(changed, t.state)
	}
	return changed
}

// noteMembers keeps what publishes the tables that are about to be copied; the end of the copy writes it. It stands behind
// EnsurePublication and before the snapshot, so that as long as one of these members stays, everything behind the snapshot is sent.
func (s *session) noteMembers(ctx context.Context, tables []*liveTable) error {
	asked := make([]*cdc.Table, len(tables))
	for i, t := range tables {
		asked[i] = t.Table
	}
	_, members, err := s.Source.Published(ctx, asked)
	if err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	for _, t := range tables {
		if t.state.PublishedBy = members[t.OID]; len(t.state.PublishedBy) == 0 {
			return fmt.Errorf("table %s left the publication while its copy was prepared; nothing of it was read, it is tried again. Try: keep it there while capture starts", t.FullName())
		}
	}
	return nil
}
