package avro

import "dirtbike/cdc"

// addRecord makes the bytes of a record one of the chunk, with a tombstone after a delete if the topic is compacted.
// Its key begins at key, its value at value, and dst ends with it.
func (e *encoder) addRecord(c *cdc.Chunk, dst []byte, key, value int, op cdc.Op, position cdc.Position) []byte {
	part := partition(dst[key+frameSize:value], e.topic.Partitions)
	c.Records = append(c.Records, cdc.Record{Topic: e.topic, Partition: part, Key: key, Value: value, End: len(dst), Position: position})
	if op != cdc.OpDelete || !e.topic.Compacted {
		return dst
	}
	tomb := len(dst)
	dst = append(dst, dst[key:value]...)
	c.Records = append(c.Records, cdc.Record{
		Topic: e.topic, Partition: part, Tombstone: true, Key: tomb, Value: len(dst), End: len(dst), Position: position,
	})
	return dst
}

// appendRows appends before and after.
func (e *encoder) appendRows(dst []byte, r *record) (_ []byte, err error) {
	if r.before == nil {
		dst = append(dst, branchNull)
	} else if dst, err = e.appendRow(append(dst, branchValue), rowOf{tuple: r.before, beside: r.after != nil}); err != nil {
		return dst, err
	}
	if r.after == nil {
		return append(dst, branchNull), nil
	}
	return e.appendRow(append(dst, branchValue), rowOf{tuple: r.after, fold: r.fold})
}

// appendSeal appends source, op and ts_us.
func (e *encoder) appendSeal(dst []byte, m *cdc.Meta, p cdc.Position, op cdc.Op) []byte {
	dst = e.appendSource(dst, m, p, op)
	return appendLong(append(dst, 1<<1, byte(op)), m.Now)
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
	dst := c.Bytes
	for p := range e.topic.Partitions {
		key := len(dst)
		dst = append(dst, e.controlFrame...)
		dst = Control{Kind: kind, Generation: m.Generation, Leaf: m.Leaf, Partition: p}.appendTo(dst)
		value := len(dst)
		dst = append(append(dst, e.valueFrame...), branchNull, branchNull)
		dst = e.appendLists(e.appendSeal(dst, m, m.Position, op))
		c.Records = append(c.Records, cdc.Record{Topic: e.topic, Partition: p, Key: key, Value: value, End: len(dst), Position: m.Position})
	}
	c.Bytes = dst
	return nil
}
