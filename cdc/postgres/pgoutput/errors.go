package pgoutput

import "fmt"

// DecodeError says where bytes stopped being what the protocol promises. It carries nothing of the content, so it may
// be logged. Nothing of the message has been delivered; the stream cannot go on past it without losing a change.
type DecodeError struct {
	// Subject is the kind of message or frame, as Kind.String and FrameKind.String write it; "message" or "frame" if
	// the bytes were empty.
	Subject string
	Offset  int    // counts bytes from the start of the message or frame, its kind byte included
	Want    string // what the protocol has at Offset
}

// Error writes one line: the subject, the offset, what was expected.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode pgoutput %s at byte %d: want %s", e.Subject, e.Offset, e.Want)
}
