package avro

import "dirtbike/cdc"

// change is one row record to be written.
type change struct {
	meta    *cdc.Meta
	ordinal uint32
	op      cdc.Op
	key     cdc.Tuple // the tuple whose key the record has
	// before and after are nil where the envelope says null.
	before, after cdc.Tuple
	// fold says that unchanged values of after are listed already.
	fold bool
}

// appendChange appends a record, and the tombstone behind a delete if the topic is compacted.
func (e *encoder) appendChange(dst []byte, c *cdc.Chunk, ch change) ([]byte, error) {
	key := len(dst)
	dst, err := e.appendKey(append(dst, e.keyFrame...), ch.key)
	if err != nil {
		return dst, err
	}
	value := len(dst)
	part := partition(dst[key+frameSize:value], e.topic.Partitions)
	position := ch.meta.Position
	position.Ordinal = ch.ordinal
	if dst, err = e.appendEnvelope(append(dst, e.valueFrame...), &ch, position); err != nil {
		return dst, err
	}
	c.Records = append(c.Records, cdc.Record{Topic: e.topic, Partition: part, Key: key, Value: value, End: len(dst), Position: position})
	if ch.op != cdc.OpDelete || !e.topic.Compacted {
		return dst, nil
	}
	tomb := len(dst)
	dst = append(dst, dst[key:value]...)
	c.Records = append(c.Records, cdc.Record{
		Topic: e.topic, Partition: part, Tombstone: true, Key: tomb, Value: len(dst), End: len(dst), Position: position,
	})
	return dst, nil
}

func (e *encoder) appendEnvelope(dst []byte, ch *change, position cdc.Position) (_ []byte, err error) {
	if ch.before == nil {
		dst = append(dst, branchNull)
	} else if dst, err = e.appendRow(append(dst, branchValue), rowOf{tuple: ch.before, beside: ch.after != nil}); err != nil {
		return dst, err
	}
	if ch.after == nil {
		dst = append(dst, branchNull)
	} else if dst, err = e.appendRow(append(dst, branchValue), rowOf{tuple: ch.after, fold: ch.fold}); err != nil {
		return dst, err
	}
	dst = e.appendSource(dst, ch.meta, position, ch.op)
	dst = append(dst, 1<<1, byte(ch.op))
	return e.appendLists(appendLong(dst, ch.meta.Now)), nil
}

// appendSource appends the `source` record.
func (e *encoder) appendSource(dst []byte, m *cdc.Meta, p cdc.Position, op cdc.Op) []byte {
	dst = appendLong(dst, int64(p.Epoch))
	dst = appendLong(dst, int64(m.LSN))       //nolint:gosec // travels as its bit pattern
	dst = appendLong(dst, int64(p.CommitLSN)) //nolint:gosec // travels as its bit pattern
	dst = appendLong(dst, int64(p.Ordinal))
	dst = appendLong(dst, int64(m.XID))
	dst = appendLong(dst, m.CommitTime)
	dst = appendBool(dst, op == cdc.OpRead)
	dst = appendLong(dst, int64(m.Generation))
	dst = appendLong(dst, int64(m.Leaf))
	return append(dst, e.sourceNames...)
}

func (e *encoder) Truncate(c *cdc.Chunk, m *cdc.Meta) error {
	return e.control(c, m, ControlTruncate, cdc.OpTruncate)
}

func (e *encoder) OpenGeneration(c *cdc.Chunk, m *cdc.Meta) error {
	return e.control(c, m, ControlOpen, cdc.OpMarker)
}

func (e *encoder) EndGeneration(c *cdc.Chunk, m *cdc.Meta) error {
	return e.control(c, m, ControlEnd, cdc.OpMarker)
}

// control appends one record to every partition.
func (e *encoder) control(c *cdc.Chunk, m *cdc.Meta, kind ControlKind, op cdc.Op) error {
	e.lists.reset()
	mark, dst := len(c.Records), c.Bytes
	for p := range e.topic.Partitions {
		key := len(dst)
		dst = append(dst, e.controlFrame...)
		dst = Control{Kind: kind, Generation: m.Generation, Leaf: m.Leaf, Partition: p}.appendTo(dst)
		value := len(dst)
		dst, _ = e.appendEnvelope(append(dst, e.valueFrame...), &change{meta: m, op: op}, m.Position)
		c.Records = append(c.Records, cdc.Record{Topic: e.topic, Partition: p, Key: key, Value: value, End: len(dst), Position: m.Position})
	}
	return e.finish(c, mark, dst, nil)
}
