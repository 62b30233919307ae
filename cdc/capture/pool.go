package capture

import (
	"context"
	"sync"
	"sync/atomic"

	"dirtbike/cdc"
)

// chunkPool bounds the memory of the way from the encoder to the sink: it has a fixed number of chunks, and get waits
// for one. A chunk that large rows have made larger than usual counts as several while it is sent.
type chunkPool struct {
	free    chan *cdc.Chunk
	bytes   int           // a chunk's usual size, with room for the record that makes it full
	waiting atomic.Int32  // callers of get that wait
	wanted  chan struct{} // signalled when one begins to wait

	mu     sync.Mutex
	beside map[*cdc.Chunk][]*cdc.Chunk // those that nobody gets while a large one is sent
}

func newChunkPool(chunks, bytes int) *chunkPool {
	p := &chunkPool{free: make(chan *cdc.Chunk, chunks), bytes: bytes + bytes/8, wanted: make(chan struct{}, 1), beside: map[*cdc.Chunk][]*cdc.Chunk{}}
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

// sent keeps as many free chunks as a large one has the memory of, until that is put back. It does not wait for them:
// where none is free, nothing more is sent until some are.
func (p *chunkPool) sent(c *cdc.Chunk) {
	var kept []*cdc.Chunk
	for more := cap(c.Bytes)/p.bytes - 1; more > 0; more-- {
		select {
		case free := <-p.free:
			kept = append(kept, free)
		default:
			more = 0
		}
	}
	if len(kept) > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.beside[c] = kept
	}
}

// put takes a chunk back, and those that were kept for it; memory that a large row needed is freed.
func (p *chunkPool) put(c *cdc.Chunk) {
	c.Reset()
	if cap(c.Bytes) > 2*p.bytes {
		c.Bytes = make([]byte, 0, p.bytes)
	}
	p.mu.Lock()
	back := append(p.beside[c], c)
	delete(p.beside, c)
	p.mu.Unlock()
	for _, c := range back {
		select {
		case p.free <- c:
		default:
			panic("cdc: a chunk was released twice")
		}
	}
}
