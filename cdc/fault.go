package cdc

// Fault is called at named points, so that a test can kill or break the process exactly there. It is nil in a release:
// only a test binary sets one. It may not return.
type Fault func(point string)

// The named points.
const (
	FaultAfterProduce = "after-produce-before-commit" // records are in an open Kafka transaction
	FaultAfterCommit  = "after-commit-before-report"  // EndTransaction returned, the LSN is not yet reported
	FaultInCopy       = "inside-the-copy"             // some rows of a first copy are written
	FaultInTxn        = "inside-an-open-transaction"  // between two chunks of one Kafka transaction
	FaultRenewing     = "renewing-before-the-slot-is-dropped"
	FaultSlotDropped  = "renewing-after-the-slot-is-dropped"
	FaultBeforeInsert = "before-insert"               // a batch is built, the insert into ClickHouse not sent
	FaultInInsert     = "inside-an-insert"            // part of an insert's blocks are sent
	FaultAfterInsert  = "after-insert-before-offsets" // rows are in ClickHouse, the applied offsets are not
)

// At calls the hook if there is one.
func (f Fault) At(point string) {
	if f != nil {
		f(point)
	}
}
