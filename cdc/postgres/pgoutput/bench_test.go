package pgoutput

import (
	"encoding/binary"
	"testing"

	"github.com/jackc/pglogrepl"

	"dirtbike/cdc"
)

// claim is an insert of 9 binary columns, about 100 bytes of row, like the clinic's claims.
func claim() []byte {
	b := []byte("I\x00\x00\x40\x06N\x00\x09")
	for _, n := range []int{8, 4, 4, 8, 10, 10, 4, 24, 8} {
		b = append(b, byte(cdc.DatumBinary))
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		b = append(b, make([]byte, n)...)
	}
	return b
}

func BenchmarkDecodeInsert(b *testing.B) {
	row, d := claim(), new(Decoder)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(row, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPglogreplInsert is the reference.
func BenchmarkPglogreplInsert(b *testing.B) {
	row := claim()
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pglogrepl.Parse(row); err != nil {
			b.Fatal(err)
		}
	}
}
