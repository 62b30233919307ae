package table

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"dirtbike/sinks/clickhouse/ledger"
)

// Pool has the ch-go connections over which blocks of rows travel in both directions. It is safe for concurrent use.
type Pool struct {
	options []ch.Options // one per address
	idle    chan *ch.Client
}

// mostIdle connections are kept.
const mostIdle = 8

// NewPool connects to nothing yet.
func NewPool(o *chgo.Options) *Pool {
	p := &Pool{idle: make(chan *ch.Client, mostIdle)}
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

// Do runs one query on a connection of its own, and ends even if the server no longer answers: after a stop a query
// that has begun may end (ledger.Statement). A connection that failed is not used again.
func (p *Pool) Do(ctx context.Context, q ch.Query) error {
	ctx, cancel := ledger.Statement(ctx)
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
	select {
	case p.idle <- c:
	default:
		_ = c.Close() // nothing is in flight
	}
	return nil
}

func (p *Pool) get(ctx context.Context) (c *ch.Client, err error) {
	for err = ctx.Err(); err == nil; {
		select {
		case c = <-p.idle:
			if !c.IsClosed() {
				return c, nil
			}
		default:
			return p.dial(ctx)
		}
	}
	return nil, err
}

func (p *Pool) dial(ctx context.Context) (c *ch.Client, err error) {
	for _, o := range p.options {
		if c, err = ch.Dial(ctx, o); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", err)
}

// Close ends the connections; nothing may be in flight.
func (p *Pool) Close() {
	for {
		select {
		case c := <-p.idle:
			_ = c.Close()
		default:
			return
		}
	}
}
