package avro

import "encoding/binary"

// partition chooses the partition of a key payload (without its Confluent header, rule 9) as Kafka's Java client would:
// murmur2, made positive, modulo n.
func partition(payload []byte, n int32) int32 {
	return int32(murmur2(payload)&0x7fff_ffff) % n
}

// murmur2 is the 32-bit MurmurHash2 with the seed of Kafka's Java client.
func murmur2(b []byte) uint32 {
	const seed, m = 0x9747b28c, 0x5bd1e995
	h := seed ^ uint32(len(b)) //nolint:gosec // as the Java client has it
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
