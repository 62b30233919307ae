package avro

import (
	"encoding/binary"
	"errors"

	"dirtbike/cdc"
)

// record is what a row record says.
type record struct {
	op     cdc.Op
	second bool      // it has the second of the two ordinals that an UPDATE takes
	key    cdc.Tuple // the tuple whose key the record has
	// before and after are nil where the envelope says null.
	before, after cdc.Tuple
	fold          bool // unchanged values of after are listed already
	keyOnly       bool // of before, only the columns of the key are known
}

// imageHead is the size in bytes of an image's head: op, whether it takes the second ordinal, and the lengths of the
// key payload, the rows and the lists, which follow.
const imageHead = 1 + 1 + 3*4

// errImage says that bytes are not those that Image gave.
var errImage = errors.New("a stored row image is damaged")

// appendImage appends a record's image. After an error the result must not be used.
func (e *encoder) appendImage(dst []byte, r *record) (_ []byte, err error) {
	start := len(dst)
	var head [imageHead]byte
	if dst, err = e.appendKey(append(dst, head[:]...), r.key); err != nil {
		return nil, err
	}
	rows := len(dst)
	if dst, err = e.appendRows(dst, r); err != nil {
		return nil, err
	}
	lists := len(dst)
	dst = e.appendLists(dst)
	at := dst[start:]
	if at[0] = byte(r.op); r.second {
		at[1] = 1
	}
	for i, size := range [...]int{rows - start - imageHead, lists - rows, len(dst) - lists} {
		binary.BigEndian.PutUint32(at[2+4*i:], uint32(size)) //nolint:gosec // Postgres' rows are below 4 GiB
	}
	return dst, nil
}

// appendRows appends before and after.
func (e *encoder) appendRows(dst []byte, r *record) (_ []byte, err error) {
	if r.before == nil {
		dst = append(dst, branchNull)
	} else if dst, err = e.appendRow(append(dst, branchValue), rowOf{tuple: r.before, beside: r.after != nil, keyOnly: r.keyOnly}); err != nil {
		return dst, err
	}
	if r.after == nil {
		return append(dst, branchNull), nil
	}
	return e.appendRow(append(dst, branchValue), rowOf{tuple: r.after, fold: r.fold})
}

// image is a record's image, taken apart; it aliases the bytes.
type image struct {
	op               cdc.Op
	second           bool
	key, rows, lists []byte
}

// cutImage takes the first image off b.
func cutImage(b []byte) (i image, rest []byte, err error) {
	if len(b) < imageHead || b[1] > 1 {
		return i, nil, errImage
	}
	i.op, i.second = cdc.Op(b[0]), b[1] == 1
	rest = b[imageHead:]
	for at, part := range [...]*[]byte{&i.key, &i.rows, &i.lists} {
		size := int(binary.BigEndian.Uint32(b[2+4*at:]))
		if size > len(rest) {
			return i, nil, errImage
		}
		*part, rest = rest[:size], rest[size:]
	}
	return i, rest, nil
}
