package verify

import "dirtbike/cdc"

// position is a place in the log of one history of the source.
type position struct {
	epoch uint32
	lsn   cdc.LSN
}

// before reports whether p comes before q.
func (p position) before(q position) bool {
	return p.epoch < q.epoch || p.epoch == q.epoch && p.lsn < q.lsn
}
