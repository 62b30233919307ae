package pgoutput

import "dirtbike/cdc"

// noFlags are the flags of commits and prepares: the protocol has none.
const noFlags = 0

// boundary decodes the kinds that open, close, commit or abort a transaction or a segment of one.
func (d *Decoder) boundary(kind Kind, c *cursor) Message {
	switch kind { //nolint:exhaustive // prepared has the rest
	case KindBegin:
		d.begin = Begin{FinalLSN: c.lsn(wantCommitLSN), CommitTime: c.timestamp(wantCommitTime), XID: c.xid()}
		return &d.begin
	case KindCommit:
		c.flags(noFlags, "commit flags 0")
		d.commit = Commit{LSN: c.lsn(wantCommitLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantCommitTime)}
		return &d.commit
	case KindOrigin:
		return &Origin{LSN: cdc.LSN(c.u64("LSN at the origin (8 bytes)")), Name: c.text("name of the origin")}
	case KindStreamStart:
		d.streamStart = StreamStart{XID: c.xid(), First: c.flags(1, "first segment 0 or 1") != 0}
		return &d.streamStart
	case KindStreamStop:
		return &d.streamStop
	case KindStreamCommit:
		return d.decodeStreamCommit(c)
	case KindStreamAbort:
		return d.decodeStreamAbort(c)
	default:
		return prepared(kind, c)
	}
}

const (
	wantCommitLSN   = "LSN of commit, 8 bytes, not 0"
	wantCommitTime  = "commit time (8 bytes)"
	wantPrepareLSN  = "LSN of prepare, 8 bytes, not 0"
	wantPrepareTime = "prepare time (8 bytes)"
	wantEndLSN      = "end LSN, 8 bytes, not 0"
	wantGID         = "global transaction identifier"
)

func (d *Decoder) decodeStreamCommit(c *cursor) Message {
	xid := c.xid()
	c.flags(noFlags, "commit flags 0")
	d.streamCommit = StreamCommit{
		XID: xid, LSN: c.lsn(wantCommitLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantCommitTime),
	}
	return &d.streamCommit
}

func (d *Decoder) decodeStreamAbort(c *cursor) Message {
	d.streamAbort = StreamAbort{XID: c.xid(), SubXID: c.xid()}
	if d.Parallel {
		// The server sends 0 for a transaction that a crash ended, so this LSN is not required.
		d.streamAbort.LSN = cdc.LSN(c.u64("LSN of abort (8 bytes)"))
		d.streamAbort.Time = c.timestamp("abort time (8 bytes)")
	}
	return &d.streamAbort
}

// prepared decodes the kinds of two-phase transactions, which own their bytes.
func prepared(kind Kind, c *cursor) Message {
	if kind != KindBeginPrepare {
		c.flags(noFlags, "prepare flags 0")
	}
	switch kind { //nolint:exhaustive // boundary sends only these; any other panics
	case KindBeginPrepare:
		m := BeginPrepare(decodePrepare(c))
		return &m
	case KindPrepare:
		m := decodePrepare(c)
		return &m
	case KindStreamPrepare:
		m := StreamPrepare(decodePrepare(c))
		return &m
	case KindCommitPrepared:
		return &CommitPrepared{
			LSN: c.lsn(wantCommitLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantCommitTime),
			XID: c.xid(), GID: c.text(wantGID),
		}
	case KindRollbackPrepared:
		return &RollbackPrepared{
			PrepareEndLSN: c.lsn("end LSN of prepare, 8 bytes, not 0"), EndLSN: c.lsn(wantEndLSN),
			PrepareTime: c.timestamp(wantPrepareTime), Time: c.timestamp("rollback time (8 bytes)"),
			XID: c.xid(), GID: c.text(wantGID),
		}
	default:
		panic("pgoutput: no decoder for a known kind: " + kind.String())
	}
}

func decodePrepare(c *cursor) Prepare {
	return Prepare{
		PrepareLSN: c.lsn(wantPrepareLSN), EndLSN: c.lsn(wantEndLSN), Time: c.timestamp(wantPrepareTime),
		XID: c.xid(), GID: c.text(wantGID),
	}
}
