package cdc

import "context"

// chunkPool bounds the memory of the way from the encoder to the sink: it has a fixed number of chunks, and get waits for one.
type chunkPool struct {
	free  chan *Chunk
	bytes int // a chunk's usual size
}

func newChunkPool(chunks, bytes int) *chunkPool {
	p := &chunkPool{free: make(chan *Chunk, chunks), bytes: bytes}
	for range chunks {
		p.free <- &Chunk{Bytes: p.memory(), pool: p}
	}
	return p
}

// memory is a chunk's, with room for the record that makes it full.
func (p *chunkPool) memory() []byte { return make([]byte, 0, p.bytes+p.bytes/8) }

func (p *chunkPool) get(ctx context.Context) (*Chunk, error) {
	select {
	case c := <-p.free:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// put takes a chunk back; one that a huge row has grown does not keep that memory for ever.
func (p *chunkPool) put(c *Chunk) {
	c.Reset()
	if cap(c.Bytes) > 4*p.bytes {
		c.Bytes = p.memory()
	}
	select {
	case p.free <- c:
	default:
		panic("cdc: a chunk was released twice")
	}
}
