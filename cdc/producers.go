package cdc

import "context"

// Producers knows which Kafka producers have written for the pipeline. Only what they wrote, inside a transaction,
// counts: what others write to a topic changes no table.
type Producers interface {
	// Producers gives the ids of all producers that have claimed the pipeline, in its state topic. The id of a record
	// that is visible with read_committed is among them if the record is the pipeline's.
	Producers(ctx context.Context) ([]int64, error)
}
