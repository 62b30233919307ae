package pgoutput

import "fmt"

// Kind is the first byte of a message.
type Kind byte

// The kinds of messages of protocol versions 1 to 4; there are others only with two_phase, which is never on (rule 5).
const (
	KindBegin        Kind = 'B'
	KindCommit       Kind = 'C'
	KindOrigin       Kind = 'O'
	KindMessage      Kind = 'M'
	KindRelation     Kind = 'R'
	KindType         Kind = 'Y'
	KindInsert       Kind = 'I'
	KindUpdate       Kind = 'U'
	KindDelete       Kind = 'D'
	KindTruncate     Kind = 'T'
	KindStreamStart  Kind = 'S'
	KindStreamStop   Kind = 'E'
	KindStreamCommit Kind = 'c'
	KindStreamAbort  Kind = 'A'
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
	name   string
	place  place
	change bool // it starts with the id of its transaction when streamed
}{
	KindBegin:        {"begin", outsideStream, false},
	KindCommit:       {"commit", outsideStream, false},
	KindOrigin:       {"origin", anywhere, false},
	KindMessage:      {"logical message", anywhere, true},
	KindRelation:     {"relation", anywhere, true},
	KindType:         {"type", anywhere, true},
	KindInsert:       {"insert", anywhere, true},
	KindUpdate:       {"update", anywhere, true},
	KindDelete:       {"delete", anywhere, true},
	KindTruncate:     {"truncate", anywhere, true},
	KindStreamStart:  {"stream start", outsideStream, false},
	KindStreamStop:   {"stream stop", insideStream, false},
	KindStreamCommit: {"stream commit", outsideStream, false},
	KindStreamAbort:  {"stream abort", outsideStream, false},
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
	switch at := kinds[k].place; {
	case at == unknownKind:
		return "a message kind of protocol versions 1 to 4, without two_phase"
	case at == outsideStream && streaming:
		return "a message that may come between stream start and stream stop"
	case at == insideStream && !streaming:
		return "a stream start before it"
	}
	return ""
}
