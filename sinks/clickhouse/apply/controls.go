package apply

import (
	"github.com/google/uuid"

	"dirtbike/cdc"
)

// Controls are the control records of one topic, as far as they were read, in order.
type Controls struct {
	Log     uuid.UUID // Kafka's id of the control topic
	Records []Control
	Known   uint64           // the cdc.ControlSequence of the newest one
	Ends    map[uint32]int32 // by generation, on how many partitions it ends
}

// Controlled is how far control records of a topic are applied to a partition.
type Controlled struct {
	Log      uuid.UUID // Kafka's id of the control topic
	Next     int64     // the offset in it after the last one
	Sequence uint64    // the highest cdc.ControlSequence
}

// Control is a control record with its place in each partition. It has no names: those are the topic's.
type Control struct {
	cdc.ControlRecord
	places []int64
}

// Add takes the next record that was read.
func (c *Controls) Add(r cdc.ControlRecord) {
	add := Control{ControlRecord: r}
	for partition, next := range r.Offsets {
		for int(partition) >= len(add.places) && partition < mostPartitions {
			add.places = append(add.places, 0)
		}
		if partition < mostPartitions {
			add.places[partition] = next
		}
	}
	if r.Kind == cdc.ControlEnd {
		if c.Ends == nil {
			c.Ends = map[uint32]int32{}
		}
		c.Ends[r.Generation] = int32(len(add.places)) //nolint:gosec // at most mostPartitions
	}
	add.Offsets, add.Topic, add.TopicID, add.Schema, add.Table = nil, "", "", "", "" // places has the offsets, all are of one topic
	c.Records = append(c.Records, add)
	c.Known = max(c.Known, r.Sequence())
}

// mostPartitions keeps a record from claiming memory.
const mostPartitions = 10_000

// At is the record's place in a partition: it comes before the record at this offset. A partition that was added since
// has it at its beginning.
func (c *Control) At(partition int32) int64 {
	if int(partition) < len(c.places) {
		return c.places[partition]
	}
	return 0
}

// Due gives the next control record of the partition, if its place is at or before an offset.
func (p *Partition) Due(offset int64) *Control {
	log := p.Topic.Controls
	if p.Controlled.Log != log.Log { // another control topic: all in it is newer
		p.Controlled.Log, p.Controlled.Next, p.nextControl = log.Log, 0, 0
	}
	for p.nextControl < len(log.Records) {
		c := &log.Records[p.nextControl]
		if c.At(p.ID) > offset {
			return nil
		}
		p.nextControl++
		if c.Offset >= p.Controlled.Next {
			return c
		}
	}
	return nil
}

// Take notes that a control record is applied.
func (p *Partition) Take(c *Control) {
	p.Controlled.Next, p.Controlled.Sequence = c.Offset+1, max(p.Controlled.Sequence, c.Sequence())
}

// Broken gives the newest generation that was opened before an offset: rows of it are missing where the log begins
// there.
func (p *Partition) Broken(start int64) (newest uint32) {
	for i := range p.Topic.Controls.Records {
		if c := &p.Topic.Controls.Records[i]; c.Kind == cdc.ControlOpen && c.At(p.ID) < start {
			newest = max(newest, c.Generation)
		}
	}
	return newest
}

// Ends reports whether a control record ends the seeking: it opens a generation that is newer than all that is known,
// and the log has all of it.
func (s *Seek) Ends(c *Control, partition int32) bool {
	return c.Kind == cdc.ControlOpen && c.Generation > s.Above && c.At(partition) >= s.Start
}
