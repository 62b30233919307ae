package cdc

import "errors"

// What an error means for the pipeline. They are wrapped with where and what to do.
var (
	// ErrFenced says that another capture with the same slot and prefix has taken over.
	ErrFenced = errors.New("another capture has taken over")
	// ErrGap says that the source can no longer give the changes behind the stored position.
	ErrGap = errors.New("changes are missing between the stored position and the source")
	// ErrRefused says that configuration, source and state do not fit together; somebody has to decide.
	ErrRefused = errors.New("refused")
	// ErrUnreachable says that a part did not answer: the session is retried, no table is to blame.
	ErrUnreachable = errors.New("unreachable")
	// ErrSchema says that the schema registry will not take a table's schema: that table cannot go on, the others can.
	ErrSchema = errors.New("the registry refuses the schema")
)

// CopyAgain is the way out for one quarantined table: naming it again begins a new generation.
const CopyAgain = "exclude the table under source.tables (\"!schema.table\"), restart capture, then name it again and restart: it is copied anew"

// StartAnew is the way out when this release cannot go on with what is there: it has no verb that copies a table again.
const StartAnew = "start anew with another kafka.prefix, source.slot and clickhouse.database"
