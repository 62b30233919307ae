// Package kafkabatch says what the records of a batch in Kafka's format take in memory, before a client makes them:
// Kafka bounds the bytes of a batch, and a record of seven bytes takes a client thirty times as many.
package kafkabatch

import "encoding/binary"

const (
	recordBytes = 256 // what a client takes for one record, beside its bytes
	headerBytes = 48  // and for each of its headers
	// dense is how many times its unpacked size a batch may weigh: capture writes no record below 40 bytes.
	dense = 8
)

// MostWeight is the most that a batch of so many unpacked bytes weighs, if capture wrote it.
func MostWeight(batchBytes int) int64 { return dense * int64(batchBytes) }

// MostRecords is the most records that a batch of so many unpacked bytes has, if capture wrote it.
func MostRecords(batchBytes int) int { return int(MostWeight(batchBytes) / recordBytes) }

// RecordsWeight is what so many records take beside their bytes, without headers.
func RecordsWeight(records int) int64 { return recordBytes * int64(records) }

// Weigh gives the bytes that the records of an unpacked batch take, their own included. What does not look like a
// record, and what follows, counts with its bytes alone: a client makes no record of it.
func Weigh(batch []byte) int64 {
	weight := int64(len(batch))
	for len(batch) > 0 {
		length, size := binary.Varint(batch)
		if size <= 0 || length < 0 || length > int64(len(batch)-size) {
			return weight
		}
		weight += recordBytes + headerBytes*headers(batch[size:size+int(length)])
		batch = batch[size+int(length):]
	}
	return weight
}

// headers is how many headers a client makes for a record: as many as it says, at most one for each byte that is left.
func headers(record []byte) int64 {
	const attributes = 1
	if len(record) < attributes {
		return 0
	}
	fields := record[attributes:]
	for range 2 { // time and offset
		_, size := binary.Varint(fields)
		if size <= 0 {
			return 0
		}
		fields = fields[size:]
	}
	for range 2 { // key and value; -1 is none
		length, size := binary.Varint(fields)
		if size <= 0 || length > int64(len(fields)-size) {
			return 0
		}
		fields = fields[size+int(max(length, 0)):]
	}
	count, size := binary.Varint(fields)
	if size <= 0 {
		return 0
	}
	return min(max(count, 0), int64(len(fields)-size))
}
