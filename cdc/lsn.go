package cdc

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in Postgres' write-ahead log (pg_lsn). Zero means "none": Postgres never gives it out.
type LSN uint64

// String writes the LSN as Postgres does: two hexadecimal halves, "16/B374D848".
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) //nolint:gosec // the halves are cut on purpose
}

// MarshalText implements encoding.TextMarshaler: JSON numbers lose the low bits in many readers.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLSN(string(b))
	return err
}

// ParseLSN reads the form that String writes. Errors name the text, which is never a row value.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, highErr := strconv.ParseUint(high, 16, 32)
	l, lowErr := strconv.ParseUint(low, 16, 32)
	if !ok || highErr != nil || lowErr != nil {
		return 0, fmt.Errorf("parse LSN %q: it is not two hexadecimal numbers", s)
	}
	return LSN(h<<32 | l), nil
}
