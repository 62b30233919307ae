package avro

import "dirtbike/cdc"

func (e *encoder) Seal(c *cdc.Chunk, m *cdc.Meta, images []byte) error {
	mark, dst := len(c.Records), c.Bytes
	for len(images) > 0 {
		i, rest, err := cutImage(images)
		if err != nil {
			c.Records = c.Records[:mark]
			return e.failed(err)
		}
		images = rest
		position := m.Position
		if i.second {
			position.Ordinal++
		}
		key := len(dst)
		dst = append(append(dst, e.keyFrame...), i.key...)
		value := len(dst)
		dst = append(append(dst, e.valueFrame...), i.rows...)
		dst = append(e.appendSeal(dst, m, position, i.op), i.lists...)
		dst = e.addRecord(c, dst, cdc.Record{Key: key, Value: value, Position: position}, i.op)
	}
	c.Bytes = dst
	return nil
}

// addRecord adds the record with which dst ends to the chunk, with a tombstone after a delete if the topic has
// them.
func (e *encoder) addRecord(c *cdc.Chunk, dst []byte, r cdc.Record, op cdc.Op) []byte {
	r.Topic, r.Partition, r.End = e.topic, partition(dst[r.Key+frameSize:r.Value], e.topic.Partitions), len(dst)
	c.Records = append(c.Records, r)
	if op != cdc.OpDelete || !e.topic.Tombstones {
		return dst
	}
	dst = append(dst, dst[r.Key:r.Value]...)
	r.Tombstone, r.Key, r.Value, r.End = true, r.End, len(dst), len(dst)
	c.Records = append(c.Records, r)
	return dst
}

// appendSeal appends source, op and ts_us.
func (e *encoder) appendSeal(dst []byte, m *cdc.Meta, p cdc.Position, op cdc.Op) []byte {
	dst = appendLong(dst, int64(p.Epoch))
	dst = appendLong(dst, int64(m.LSN))       //nolint:gosec // travels as its bit pattern
	dst = appendLong(dst, int64(p.CommitLSN)) //nolint:gosec // travels as its bit pattern
	dst = appendLong(dst, int64(p.Ordinal))
	dst = appendLong(dst, int64(m.XID))
	dst = appendLong(dst, m.CommitTime)
	dst = appendBool(dst, op == cdc.OpRead)
	dst = appendLong(dst, int64(m.Generation))
	dst = appendLong(dst, int64(m.Controls))
	dst = appendLong(dst, int64(m.Leaf))
	dst = append(dst, e.sourceNames...)
	return appendLong(append(dst, 1<<1, byte(op)), m.Now)
}

func (e *encoder) Control(c *cdc.Chunk, m *cdc.Meta, kind cdc.ControlKind) {
	c.Controls = append(c.Controls, cdc.Control{
		Kind: kind, Topic: e.topic, Schema: e.schema, Table: e.name, Generation: m.Generation, Number: m.Controls, Leaf: m.Leaf,
		Position: m.Position, XID: m.XID, CommitTime: m.CommitTime, ValueSchema: e.valueID, After: len(c.Records),
	})
}
