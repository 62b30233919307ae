package pgcopy

import "fmt"

// FormatError says where the bytes stopped being the binary format. It carries nothing of the content, so it may be
// logged. The rows before Row have been delivered and are right.
type FormatError struct {
	Row    int64  // counts from 1; 0 in the header. After the last row it is the row that would have been next.
	Offset int64  // counts bytes from the start of the COPY
	Want   string // what the format has at Offset
}

// Error writes one line: row, offset, what was expected.
func (e *FormatError) Error() string {
	return fmt.Sprintf("read COPY binary, row %d at byte %d: want %s", e.Row, e.Offset, e.Want)
}
