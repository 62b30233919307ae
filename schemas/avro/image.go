package avro

import (
	"context"
	"encoding/binary"
	"errors"

	"dirtbike/cdc"
)

// A record consists of its image and its seal. The image is what depends on the row alone: the key, before and after,
// and the lists, all with the policies applied. The seal is what is known once the transaction has committed: source,
// op and the time of encoding, which the envelope has between the rows and the lists.
//
// Insert, Update, Delete and Read put image and seal straight into the chunk. Image keeps the images of a change for
// later, one after another; each is a head (op, whether it takes the second ordinal, the lengths of key, rows and
// lists) and these three.

// record is one row record to be put out.
type record struct {
	op cdc.Op
	// second says that it has the second of the two ordinals that an UPDATE takes.
	second bool
	key    cdc.Tuple // the tuple whose key the record has
	// before and after are nil where the envelope says null.
	before, after cdc.Tuple
	// fold says that unchanged values of after are listed already.
	fold bool
}

// output is where records are put.
type output struct {
	dst []byte
	// chunk is that of which dst is the bytes, and meta seals the records; both are nil if dst is for images.
	chunk *cdc.Chunk
	meta  *cdc.Meta
}

// put writes a record; what it writes when it fails is not part of out.
func (e *encoder) put(out *output, r *record) (err error) {
	if out.chunk == nil {
		return e.putImage(out, r)
	}
	dst, key := out.dst, len(out.dst)
	if dst, err = e.appendKey(append(dst, e.keyFrame...), r.key); err != nil {
		return err
	}
	value := len(dst)
	if dst, err = e.appendRows(append(dst, e.valueFrame...), r); err != nil {
		return err
	}
	position := positionOf(out.meta, r.second)
	dst = e.appendLists(e.appendSeal(dst, out.meta, position, r.op))
	out.dst = e.addRecord(out.chunk, dst, key, value, r.op, position)
	return nil
}

// positionOf is the change's own position, or the second of an UPDATE.
func positionOf(m *cdc.Meta, second bool) cdc.Position {
	position := m.Position
	if second {
		position.Ordinal++
	}
	return position
}

// imageHead is the size of an image's head in bytes.
const imageHead = 1 + 1 + 3*4

// errImage says that bytes are not those that Image gave.
var errImage = errors.New("a stored row image is damaged")

func (e *encoder) putImage(out *output, r *record) (err error) {
	start := len(out.dst)
	var head [imageHead]byte
	dst := append(out.dst, head[:]...)
	if dst, err = e.appendKey(dst, r.key); err != nil {
		return err
	}
	rows := len(dst)
	if dst, err = e.appendRows(dst, r); err != nil {
		return err
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
	out.dst = dst
	return nil
}

// image is a stored image, taken apart; it aliases the bytes.
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

func (e *encoder) Image(ctx context.Context, dst []byte, ch cdc.RowChange) ([]byte, error) {
	out := output{dst: dst}
	if err := e.encode(ctx, &out, &ch); err != nil {
		return dst, e.failed(err)
	}
	return out.dst, nil
}

func (e *encoder) Seal(c *cdc.Chunk, m *cdc.Meta, images []byte) error {
	mark, dst := len(c.Records), c.Bytes
	for len(images) > 0 {
		i, rest, err := cutImage(images)
		if err != nil {
			c.Records = c.Records[:mark]
			return e.failed(err)
		}
		images = rest
		key := len(dst)
		dst = append(append(dst, e.keyFrame...), i.key...)
		value := len(dst)
		position := positionOf(m, i.second)
		dst = append(append(dst, e.valueFrame...), i.rows...)
		dst = append(e.appendSeal(dst, m, position, i.op), i.lists...)
		dst = e.addRecord(c, dst, key, value, i.op, position)
	}
	c.Bytes = dst
	return nil
}
