package cdc

// FrameDecoder turns the payloads of a replication connection's CopyData messages into events (cdc/postgres/pgoutput implements it).
// It is not safe for concurrent use.
type FrameDecoder interface {
	// Decode fills e from one payload; e aliases b. ok is false for messages that tell the loop nothing (Origin, Type, a
	// logical message). replyRequested says that the server waits for a status now.
	Decode(b []byte, e *Event) (ok, replyRequested bool, err error)
}

// RowDecoder turns the chunks of a COPY … (FORMAT binary) into rows (cdc/postgres/pgcopy implements it). It is used for one COPY.
type RowDecoder interface {
	// Feed decodes the next chunk; a nil field is NULL. The fields alias the chunk and are valid during the call of row only.
	Feed(chunk []byte, row func(fields [][]byte) error) error
	// Close says that no more chunks come; an incomplete stream is an error.
	Close() error
}
