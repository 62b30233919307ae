package pgoutput

import "dirtbike/cdc"

// StreamStart opens a segment of a transaction that is still in progress (protocol 2).
type StreamStart struct {
	// XID is the top-level transaction.
	XID uint32
	// First is set on the transaction's first segment.
	First bool
}

// StreamStop closes the segment.
type StreamStop struct{}

// StreamCommit commits a transaction whose rows came in segments.
type StreamCommit struct {
	XID uint32
	// LSN is the start of the commit record, never 0.
	LSN cdc.LSN
	// EndLSN is the end of the commit record, never 0.
	EndLSN cdc.LSN
	Time   Timestamp
}

// StreamAbort takes back rows of a streamed transaction: all that SubXID wrote.
type StreamAbort struct {
	XID uint32
	// SubXID equals XID if the whole transaction is aborted.
	SubXID uint32
	// LSN and Time are those of the abort if the session streams in parallel mode and the server knows them; otherwise
	// 0.
	LSN  cdc.LSN
	Time Timestamp
}

// BeginPrepare opens a two-phase transaction that is sent when it is prepared (protocol 3).
type BeginPrepare struct {
	// PrepareLSN is the start of the prepare record, never 0.
	PrepareLSN cdc.LSN
	// EndLSN is the end of the prepare record, never 0.
	EndLSN cdc.LSN
	Time   Timestamp
	XID    uint32
	GID    string
}

// Prepare closes what BeginPrepare opened; the transaction is neither committed nor rolled back yet.
type Prepare struct {
	// PrepareLSN is the start of the prepare record, never 0.
	PrepareLSN cdc.LSN
	// EndLSN is the end of the prepare record, never 0.
	EndLSN cdc.LSN
	Time   Timestamp
	XID    uint32
	GID    string
}

// StreamPrepare prepares a two-phase transaction whose rows came in segments.
type StreamPrepare struct {
	// PrepareLSN is the start of the prepare record, never 0.
	PrepareLSN cdc.LSN
	// EndLSN is the end of the prepare record, never 0.
	EndLSN cdc.LSN
	Time   Timestamp
	XID    uint32
	GID    string
}

// CommitPrepared commits a transaction that was sent when it was prepared.
type CommitPrepared struct {
	// LSN is the start of the COMMIT PREPARED record, never 0.
	LSN cdc.LSN
	// EndLSN is the end of the COMMIT PREPARED record, never 0.
	EndLSN cdc.LSN
	Time   Timestamp
	XID    uint32
	GID    string
}

// RollbackPrepared rolls back a transaction that was sent when it was prepared.
type RollbackPrepared struct {
	// PrepareEndLSN is the end of the prepare record, never 0.
	PrepareEndLSN cdc.LSN
	// EndLSN is the end of the ROLLBACK PREPARED record, never 0.
	EndLSN      cdc.LSN
	PrepareTime Timestamp
	Time        Timestamp
	XID         uint32
	GID         string
}

// Kind implements Message.
func (*StreamStart) Kind() Kind { return KindStreamStart }

// Kind implements Message.
func (*StreamStop) Kind() Kind { return KindStreamStop }

// Kind implements Message.
func (*StreamCommit) Kind() Kind { return KindStreamCommit }

// Kind implements Message.
func (*StreamAbort) Kind() Kind { return KindStreamAbort }

// Kind implements Message.
func (*BeginPrepare) Kind() Kind { return KindBeginPrepare }

// Kind implements Message.
func (*Prepare) Kind() Kind { return KindPrepare }

// Kind implements Message.
func (*StreamPrepare) Kind() Kind { return KindStreamPrepare }

// Kind implements Message.
func (*CommitPrepared) Kind() Kind { return KindCommitPrepared }

// Kind implements Message.
func (*RollbackPrepared) Kind() Kind { return KindRollbackPrepared }
