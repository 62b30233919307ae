package postgres

import (
	"context"
	"net"
	"strings"
	"syscall"
	"time"
)

// deadPeer is how long a host may leave what we send unacknowledged before its connection counts as broken.
//
// A limit on how long the stream may be silent would not do: a walsender answers keepalive requests only between the
// records that it decodes, and at best every half wal_sender_timeout while it works through one large transaction, or
// through one with much DDL; a busy server would be taken for a dead one, and the next session would have to begin the
// same transaction again. What the server's kernel acknowledges says that host and network live, however busy the
// walsender is. Keepalive alone would not do either: Linux probes only while nothing waits to be acknowledged, and some
// request or status always does; without TCP_USER_TIMEOUT such a connection lives for another quarter of an hour.
const deadPeer = 30 * time.Second

// dialer opens connections that notice a host that is gone. On systems without TCP_USER_TIMEOUT only keepalive does.
func dialer(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadPeer / 3, Interval: deadPeer / 6, Count: 4},
		Control: func(network, _ string, c syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil // a socket of this host
			}
			return setUserTimeout(c, deadPeer)
		},
	}
	return d.DialContext
}
