package capture

import (
	"context"
	"sync/atomic"

	"dirtbike/cdc"
)

// chunkPool bounds the memory of the way from the encoder to the sink: it has a fixed number of chunks, and get waits
// for one.
type chunkPool struct {
	free    chan *cdc.Chunk
	bytes   int           // a chunk's usual size, with room for the record that makes it full
	waiting atomic.Int32  // callers of get that wait
	wanted  chan struct{} // signalled when one begins to wait
}

func newChunkPool(chunks, bytes int) *chunkPool {
	p := &chunkPool{free: make(chan *cdc.Chunk, chunks), bytes: bytes + bytes/8, wanted: make(chan struct{}, 1)}
	for range chunks {
		p.free <- cdc.NewChunk(p.bytes, p.put)
	}
	return p
}

func (p *chunkPool) get(ctx context.Context) (*cdc.Chunk, error) {
	select {
	case c := <-p.free:
		return c, nil
	default:
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.wanted <- struct{}{}:
	default: // signalled already
	}
	select {
	case c := <-p.free:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// exhausted reports that no chunk is left and a writer waits for one.
func (p *chunkPool) exhausted() bool { return len(p.free) == 0 && p.waiting.Load() > 0 }

// put takes a chunk back; memory that a huge row needed is freed.
func (p *chunkPool) put(c *cdc.Chunk) {
	c.Reset()
	if cap(c.Bytes) > 4*p.bytes {
		c.Bytes = make([]byte, 0, p.bytes)
	}
	select {
	case p.free <- c:
	default:
		panic("cdc: a chunk was released twice")
	}
}
