package cdc

import "context"

// chunkPool bounds the memory of the way from the encoder to the sink: it has a fixed number of chunks, and get waits for one.
type chunkPool struct{ free chan *Chunk }

func newChunkPool(chunks, bytes int) *chunkPool {
	p := &chunkPool{free: make(chan *Chunk, chunks)}
	for range chunks {
		p.free <- &Chunk{Bytes: make([]byte, 0, bytes+bytes/8), pool: p}
	}
	return p
}

func (p *chunkPool) get(ctx context.Context) (*Chunk, error) {
	select {
	case c := <-p.free:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *chunkPool) put(c *Chunk) {
	c.Reset()
	p.free <- c
}
