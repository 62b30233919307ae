package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cutter breaks the client's connections around the end of a transaction.
type cutter struct {
	requests atomic.Int64 // how many EndTxn requests are still to be lost before the broker gets them
	answers  atomic.Int64 // how many answers to EndTxn are still to be lost on their way back
}

var errCut = errors.New("the test cut the connection")

// option makes a Kafka client use the cutter.
func (c *cutter) option() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn, cutter: c}, nil
	})
}

// cutConn is a connection of the client. A request is one Write: its size in 4 bytes, then its key in 2.
type cutConn struct {
	net.Conn
	cutter *cutter
	drop   atomic.Bool // the next answer is lost
}

func (c *cutConn) Write(b []byte) (int, error) {
	if len(b) >= 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.EndTxn) {
		if c.cutter.requests.Add(-1) >= 0 {
			return 0, errors.Join(errCut, c.Close())
		}
		c.drop.Store(c.cutter.answers.Add(-1) >= 0)
	}
	return c.Conn.Write(b)
}

// Read waits for the broker's answer before it loses it: the broker has done what was asked.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.drop.Load() {
		return 0, errors.Join(errCut, c.Close())
	}
	return n, err
}
