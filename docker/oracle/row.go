package oracle

import (
	"encoding/binary"
)

// encodeCells packs a row's cells into one string, so that a million expected rows stay small; equal strings are equal
// rows.
func encodeCells(cells []cell) string {
	var out []byte
	for _, c := range cells {
		out = append(out, flag(c.null), flag(c.inexact))
		out = appendText(out, c.text)
		out = appendText(out, c.exact)
	}
	return string(out)
}

// decodeCells unpacks what encodeCells packed.
func decodeCells(s string) []cell {
	var cells []cell
	for s != "" {
		c := cell{null: s[0] == 1, inexact: s[1] == 1}
		c.text, s = cutText(s[2:])
		c.exact, s = cutText(s)
		cells = append(cells, c)
	}
	return cells
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendText(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s))) //nolint:gosec // a Postgres value is below 1 GB
	return append(dst, s...)
}

func cutText(s string) (text, rest string) {
	size := binary.BigEndian.Uint32([]byte(s[:4]))
	return s[4 : 4+size], s[4+size:]
}
