package capture

import "dirtbike/cdc"

// settleColumns lists the columns of tables whose state was written by a build that stored none; adopt has found them unchanged.
func (s *session) settleColumns() (changed []cdc.StateChange) {
	for _, t := range s.live {
		if t.state.Phase == cdc.TableStreaming && len(t.state.Columns) == 0 && len(t.Columns) > 0 {
			t.state.Columns = t.Columns
			changed = append(changed, t.state)
		}
	}
	return changed
}
