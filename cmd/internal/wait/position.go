package wait

import "dirtbike/cdc"

// Position is a place in the log of one history of the source.
type Position struct {
	Epoch uint32
	LSN   cdc.LSN
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.LSN < q.LSN
}
