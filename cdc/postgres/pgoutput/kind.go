package pgoutput

import "fmt"

// Kind is the first byte of a message.
type Kind byte

// The kinds of messages of protocol versions 1 to 4; no others exist.
const (
	KindBegin            Kind = 'B'
	KindCommit           Kind = 'C'
	KindOrigin           Kind = 'O'
	KindMessage          Kind = 'M'
	KindRelation         Kind = 'R'
	KindType             Kind = 'Y'
	KindInsert           Kind = 'I'
	KindUpdate           Kind = 'U'
	KindDelete           Kind = 'D'
	KindTruncate         Kind = 'T'
	KindStreamStart      Kind = 'S'
	KindStreamStop       Kind = 'E'
	KindStreamCommit     Kind = 'c'
	KindStreamAbort      Kind = 'A'
	KindBeginPrepare     Kind = 'b'
	KindPrepare          Kind = 'P'
	KindCommitPrepared   Kind = 'K'
	KindRollbackPrepared Kind = 'r'
	KindStreamPrepare    Kind = 'p'
)

// place says on which side of Stream Start and Stream Stop a kind of message may come.
type place byte

const (
	unknownKind place = iota
	anywhere
	outsideStream
	insideStream
)

var kinds = [256]struct {
	name  string
	place place
}{
	KindBegin:            {"begin", outsideStream},
	KindCommit:           {"commit", outsideStream},
	KindOrigin:           {"origin", anywhere},
	KindMessage:          {"logical message", anywhere},
	KindRelation:         {"relation", anywhere},
	KindType:             {"type", anywhere},
	KindInsert:           {"insert", anywhere},
	KindUpdate:           {"update", anywhere},
	KindDelete:           {"delete", anywhere},
	KindTruncate:         {"truncate", anywhere},
	KindStreamStart:      {"stream start", outsideStream},
	KindStreamStop:       {"stream stop", insideStream},
	KindStreamCommit:     {"stream commit", outsideStream},
	KindStreamAbort:      {"stream abort", outsideStream},
	KindBeginPrepare:     {"begin prepare", outsideStream},
	KindPrepare:          {"prepare", outsideStream},
	KindCommitPrepared:   {"commit prepared", outsideStream},
	KindRollbackPrepared: {"rollback prepared", outsideStream},
	KindStreamPrepare:    {"stream prepare", outsideStream},
}

// String names the kind in lower case, "stream commit"; a byte that is no kind is written as "message of kind 0x7a".
func (k Kind) String() string {
	if kinds[k].place == unknownKind {
		return fmt.Sprintf("message of kind 0x%02x", byte(k))
	}
	return kinds[k].name
}

// misplaced says what is wrong with a message of this kind at this place of the stream, or "" if nothing is.
func (k Kind) misplaced(streaming bool) string {
	switch kinds[k].place {
	case anywhere:
		return ""
	case outsideStream:
		if streaming {
			return "a message that may come between stream start and stream stop"
		}
		return ""
	case insideStream:
		if !streaming {
			return "a stream start before it"
		}
		return ""
	case unknownKind:
		return "a message kind of protocol versions 1 to 4"
	}
	panic("pgoutput: the table of kinds holds a place that does not exist")
}
