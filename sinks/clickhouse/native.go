package clickhouse

import (
	"context"
	"dirtbike/schemas"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"dirtbike/sinks/clickhouse/block"
)

// native is a small pool of ch-go connections, over which blocks travel in both directions.
type native struct {
	options []ch.Options // one per address
	mu      sync.Mutex
	idle    []*ch.Client
}

// insertTimeout bounds one insert: a connection that hangs is given up, and the batch sent again.
const insertTimeout = 5 * time.Minute

func newNative(o *chgo.Options) *native {
	n := &native{}
	for _, addr := range o.Addr {
		n.options = append(n.options, ch.Options{
			Address: addr, Database: o.Auth.Database, User: o.Auth.Username, Password: o.Auth.Password, TLS: o.TLS,
			ClientName: "dirtbike", DialTimeout: orDefault(o.DialTimeout, 10*time.Second), HandshakeTimeout: 30 * time.Second,
			ReadTimeout: ch.NoTimeout, Logger: zap.NewNop(), Compression: compression(o), Settings: []ch.Setting{
				{Key: "async_insert", Value: "0", Important: true},
				{Key: "insert_deduplicate", Value: "0", Important: true}, // a replay must write again what it wrote before
			},
		})
	}
	return n
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

// do runs one query on a connection of its own; a connection that failed is not used again.
func (n *native) do(ctx context.Context, q ch.Query) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	c, err := n.get(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // Do does not see that ctx has ended while it waits for the server
	err = c.Do(ctx, q)
	if !stop() || err != nil {
		_ = c.Close() // the query's error is the one that counts
		return err
	}
	n.put(c)
	return nil
}

func (n *native) get(ctx context.Context) (*ch.Client, error) {
	n.mu.Lock()
	for len(n.idle) > 0 {
		c := n.idle[len(n.idle)-1]
		n.idle = n.idle[:len(n.idle)-1]
		if !c.IsClosed() {
			n.mu.Unlock()
			return c, nil
		}
	}
	n.mu.Unlock()
	var err error
	for _, o := range n.options {
		var c *ch.Client
		if c, err = ch.Dial(ctx, o); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", err)
}

func (n *native) put(c *ch.Client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.idle = append(n.idle, c)
}

func (n *native) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.idle {
		_ = c.Close() // nothing is in flight
	}
	n.idle = nil
}

// insert sends the segments as the blocks of one INSERT. inside is called while the insert is open: after the first block.
func (n *native) insert(ctx context.Context, into string, segments []*block.Block, inside func()) error {
	input := segments[0].Input()
	next := 1
	return n.do(ctx, ch.Query{
		Body: "INSERT INTO " + into + " (" + columnList(segments[0].Columns()) + ") VALUES", Input: input,
		OnInput: func(context.Context) error {
			if next == 1 {
				inside()
			}
			if next == len(segments) {
				copy(input, block.Empty(input)) // all blocks are sent
				return io.EOF
			}
			copy(input, segments[next].Input())
			next++
			return nil
		},
	})
}

func columnList(columns []*block.Column) string {
	var list []byte
	for i, c := range columns {
		if i > 0 {
			list = append(list, ", "...)
		}
		list = append(list, schemas.ClickHouseIdent(c.Name)...)
	}
	return string(list)
}
