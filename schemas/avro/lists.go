package avro

// lists collects what follows source, op and ts_us in an envelope.
type lists struct {
	unchanged, reread []int // indices into the encoder's columns
	gone              bool
	inexact           []inexactEntry
	texts             []byte // of all entries
}

// inexactEntry is one value that Avro cannot hold; its text is texts[start:end].
type inexactEntry struct {
	column     int
	before     bool // it belongs to the before-image of a record with both
	start, end int
}

func (l *lists) reset() {
	l.unchanged, l.reread, l.gone = l.unchanged[:0], l.reread[:0], false
	l.inexact, l.texts = l.inexact[:0], l.texts[:0]
}

// appendLists writes unchanged, reread, gone and inexact.
func (e *encoder) appendLists(dst []byte) []byte {
	l := &e.lists
	if len(l.unchanged)+len(l.reread)+len(l.inexact) == 0 {
		return append(appendBool(append(dst, 0, 0), l.gone), 0)
	}
	dst = e.appendFields(dst, l.unchanged)
	dst = e.appendFields(dst, l.reread)
	dst = appendBool(dst, l.gone)
	if len(l.inexact) > 0 {
		dst = appendLong(dst, int64(len(l.inexact)))
	}
	for _, entry := range l.inexact {
		field := e.columns[entry.column].field
		if entry.before {
			dst = append(appendLong(dst, int64(len(beforePrefix)+len(field))), beforePrefix...)
			dst = append(dst, field...)
		} else {
			dst = appendString(dst, field)
		}
		dst = appendString(dst, l.texts[entry.start:entry.end])
	}
	return append(dst, 0)
}

// appendFields writes an array of field names: one block and the end.
func (e *encoder) appendFields(dst []byte, columns []int) []byte {
	if len(columns) > 0 {
		dst = appendLong(dst, int64(len(columns)))
	}
	for _, at := range columns {
		dst = appendString(dst, e.columns[at].field)
	}
	return append(dst, 0)
}
