package avro

import (
	"encoding/binary"

	"dirtbike/cdc"
)

// frameSize is the length of the Confluent header: a zero byte and the schema id.
const frameSize = 5

// AppendFrame appends the Confluent header of a schema id: 0x00 and the id as four bytes big-endian.
func AppendFrame(dst []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), uint32(id)) //nolint:gosec // registry ids are int32 and positive
}

// SplitFrame takes the Confluent header off; the payload aliases b.
func SplitFrame(b []byte) (id int, payload []byte, err error) {
	if len(b) < frameSize {
		return 0, nil, cdc.Failed("record has no schema id: shorter than its header").Fix("find out who else writes to the topic")
	}
	if b[0] != 0 {
		return 0, nil, cdc.Failed("record has no schema id: it begins with byte %#x, not 0", b[0]).Fix("find out who else writes to the topic")
	}
	return int(binary.BigEndian.Uint32(b[1:])), b[frameSize:], nil
}
