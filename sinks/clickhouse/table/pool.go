package table

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
)

// Pool has the ch-go connections over which blocks of rows travel in both directions. It is safe for concurrent use.
type Pool struct {
	options []ch.Options // one per address
	mu      sync.Mutex
	idle    []*ch.Client
}

// queryTimeout bounds one insert or query: a connection that hangs is given up, and the same tried again.
const queryTimeout = 5 * time.Minute

// NewPool connects to nothing yet.
func NewPool(o *chgo.Options) *Pool {
	p := &Pool{}
	for _, addr := range o.Addr {
		p.options = append(p.options, ch.Options{
			Address: addr, Database: o.Auth.Database, User: o.Auth.Username, Password: o.Auth.Password, TLS: o.TLS,
			ClientName: "dirtbike", DialTimeout: cmp.Or(o.DialTimeout, 10*time.Second), HandshakeTimeout: 30 * time.Second,
			ReadTimeout: ch.NoTimeout, Logger: zap.NewNop(), Compression: compression(o), Settings: []ch.Setting{
				{Key: "async_insert", Value: "0", Important: true},
				{Key: "insert_deduplicate", Value: "0", Important: true}, // a replay must write again what it wrote before
			},
		})
	}
	return p
}

func compression(o *chgo.Options) ch.Compression {
	if o.Compression == nil || o.Compression.Method == chgo.CompressionNone {
		return ch.CompressionDisabled
	}
	if o.Compression.Method == chgo.CompressionZSTD {
		return ch.CompressionZSTD
	}
	return ch.CompressionLZ4
}

// Do runs one query on a connection of its own, and ends with ctx even if the server has stopped to answer. A
// connection that failed is not used again.
func (p *Pool) Do(ctx context.Context, q ch.Query) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	c, err := p.get(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ch-go does not see that ctx has ended while it waits for the server
	err = c.Do(ctx, q)
	if !stop() || err != nil {
		_ = c.Close() // the query's error is the one that counts
		return err
	}
	p.put(c)
	return nil
}

func (p *Pool) get(ctx context.Context) (*ch.Client, error) {
	if c := p.takeIdle(); c != nil {
		return c, nil
	}
	var err error
	for _, o := range p.options {
		var c *ch.Client
		if c, err = ch.Dial(ctx, o); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", err)
}

func (p *Pool) takeIdle() *ch.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosed() {
			return c
		}
	}
	return nil
}

func (p *Pool) put(c *ch.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

// Close ends the connections; nothing may be in flight.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close() // nothing is in flight
	}
	p.idle = nil
}
