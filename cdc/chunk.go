package cdc

// Topic is where a table's records go. It is never changed.
type Topic struct {
	Name       string // the Kafka topic, e.g. "clinic.public.claims".
	Partitions int32  // the number of partitions; it never changes within a generation (rule 9)
	// Compacted says that every record carries a whole row, so that the topic may be compacted (rule 17).
	Compacted bool
	// Tombstones says that each delete is followed by a tombstone (rule 10). A compacted topic needs it.
	Tombstones bool
}

// Record is one encoded record inside a Chunk: its key is Bytes[Key:Value], its value Bytes[Value:End], both with their
// Confluent framing. A tombstone has no value and carries Position in its header.
type Record struct {
	Topic           *Topic
	Partition       int32
	Tombstone       bool
	Key, Value, End int
	Position        Position
}

// Chunk is a bounded run of encoded records on their way to a Sink. It is reused: the sink calls Release, exactly once,
// when it no longer reads the bytes (each record is acknowledged or given up). A Chunk is owned by one goroutine at a
// time.
type Chunk struct {
	Bytes   []byte   // the keys and values of all records, back to back. Encoders append to it.
	Records []Record // in the order in which they must be produced
	// Controls are between them, in order: see Control.After.
	Controls []Control

	release func(*Chunk)
}

// NewChunk makes a chunk with room for bytes; Release hands it to release, which may reuse it. nil: Release drops it.
func NewChunk(bytes int, release func(*Chunk)) *Chunk {
	return &Chunk{Bytes: make([]byte, 0, bytes), release: release}
}

// Release returns the chunk to its maker; the caller must not touch it afterwards.
func (c *Chunk) Release() {
	if c.release != nil {
		c.release(c)
	}
}

// Reset empties the chunk and keeps its memory.
func (c *Chunk) Reset() {
	c.Bytes = c.Bytes[:0]
	c.Records = c.Records[:0]
	clear(c.Controls)
	c.Controls = c.Controls[:0]
}

// controlBytes is about what a control takes in memory and in Kafka.
const controlBytes = 512

// Size is how large the chunk is, in bytes, its controls included.
func (c *Chunk) Size() int { return len(c.Bytes) + controlBytes*len(c.Controls) }

// Empty reports whether there is nothing to write.
func (c *Chunk) Empty() bool { return len(c.Records) == 0 && len(c.Controls) == 0 }

// Key gives the framed key of record i; it aliases the chunk.
func (c *Chunk) Key(i int) []byte { r := &c.Records[i]; return c.Bytes[r.Key:r.Value:r.Value] }

// Value gives the framed value of record i, nil for a tombstone; it aliases the chunk.
func (c *Chunk) Value(i int) []byte {
	r := &c.Records[i]
	if r.Tombstone {
		return nil
	}
	return c.Bytes[r.Value:r.End:r.End]
}
