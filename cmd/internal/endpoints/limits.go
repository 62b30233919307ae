package endpoints

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of what strangers may hold. A scraper and a few probes need a handful of connections.
const (
	maxConnections = 64
	maxHeaderBytes = 16 << 10
	headerTime     = 5 * time.Second  // for a request's header, the TLS handshake included
	readTime       = 10 * time.Second // for a whole request
	answerTime     = time.Minute      // for an answer, its checks included
	idleTime       = 30 * time.Second // between two requests of a connection
	// connectionTime is how old a connection may grow: the next answer after that ends it.
	connectionTime = 10 * time.Minute
)

// connections keeps at most a number of connections open. Where one more comes, the one that has waited longest for its
// client is closed, so that those who hold connections and ask nothing, or do not read their answer, keep nobody out;
// where every connection has a request that is being answered, the new one is closed.
type connections struct {
	most   int
	mu     sync.Mutex
	states map[net.Conn]connection
}

// connection says since when a connection waits for its client's request; the zero time is that of one with a request
// under way.
type connection struct{ waits time.Time }

// since is when the connection began to wait for its client: for a request, or to read the answer; the zero time where
// it does not.
func (c connection) since(conn net.Conn) time.Time {
	if writes, is := bare(conn).(*written); is && c.waits.IsZero() {
		return writes.since()
	}
	return c.waits
}

// bare is the connection below TLS.
func bare(conn net.Conn) net.Conn {
	if encrypted, is := conn.(*tls.Conn); is {
		return encrypted.NetConn()
	}
	return conn
}

// written is a connection that knows since when a write waits for its client.
type written struct {
	net.Conn
	began atomic.Int64 // of the write under way, in nanoseconds since 1970; 0 without one
}

// Write implements net.Conn.
func (w *written) Write(p []byte) (int, error) {
	w.began.Store(time.Now().UnixNano())
	defer w.began.Store(0)
	return w.Conn.Write(p)
}

func (w *written) since() time.Time {
	if began := w.began.Load(); began != 0 {
		return time.Unix(0, began)
	}
	return time.Time{}
}

// watched is a listener whose connections are written ones.
type watched struct{ net.Listener }

// Accept implements net.Listener.
func (w watched) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &written{Conn: conn}, nil
}

// observe follows the states of connections: it is http.Server.ConnState.
func (c *connections) observe(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.states) >= c.most && !c.closeIdle() {
			shut(conn) // it is nobody's yet
			return
		}
		c.states[conn] = connection{waits: time.Now()}
	case http.StateIdle:
		if _, ours := c.states[conn]; ours {
			c.states[conn] = connection{waits: time.Now()}
		}
	case http.StateActive:
		if _, ours := c.states[conn]; ours {
			c.states[conn] = connection{}
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.states, conn)
	}
}

// closeIdle closes the connection that has waited longest, and reports whether there was one.
func (c *connections) closeIdle() bool {
	var oldest net.Conn
	var longest time.Time
	for conn, state := range c.states {
		if since := state.since(conn); !since.IsZero() && (oldest == nil || since.Before(longest)) {
			oldest, longest = conn, since
		}
	}
	if oldest == nil {
		return false
	}
	delete(c.states, oldest)
	shut(oldest) // it had nothing to lose
	return true
}

// shut closes a connection without a word: TLS would say goodbye, and wait for a client that does not read.
func shut(conn net.Conn) {
	_ = bare(conn).Close() // its client has gone, or is told by this
}

// born is the key of the time when a request's connection was accepted.
type born struct{}

func rememberBirth(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, born{}, time.Now())
}

// aging ends connections that are older than most with their next answer.
func aging(next http.Handler, most time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Value(born{}).(time.Time); ok && time.Since(at) > most {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// bodiless does not wait for a body, which no request here has: net/http would read it before the next request, and
// keep the connection busy meanwhile.
func bodiless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a connection that has none is no server's
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// limited is an HTTP server that nobody can fill by holding connections, sending slowly or sending much.
func limited(handler http.Handler) *http.Server {
	open := &connections{most: maxConnections, states: map[net.Conn]connection{}}
	return &http.Server{
		Handler: aging(bodiless(http.MaxBytesHandler(handler, maxHeaderBytes)), connectionTime), ConnState: open.observe, ConnContext: rememberBirth,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes,
	}
}
