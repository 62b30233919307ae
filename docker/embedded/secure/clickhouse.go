package secure

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/proto"
)

// ClickHouse is a TLS front of the native protocol with a login of its own: it reads a client's hello, and passes it on
// under the login of the server. It is safe for concurrent use.
type ClickHouse struct {
	login
	listener net.Listener
	server   *url.URL
	open     sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	sessions int
}

// StartClickHouse serves what is at the clickhouse:// URL to a user with that password, under the certificate.
func StartClickHouse(target string, certificate Certificate, user, password string) (*ClickHouse, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	settings, err := certificate.Server()
	if err != nil {
		return nil, err
	}
	c := &ClickHouse{server: to, conns: map[net.Conn]bool{}}
	c.SetLogin(user, password)
	if c.listener, err = tls.Listen("tcp", "127.0.0.1:0", settings); err != nil {
		return nil, err
	}
	c.open.Go(c.serve)
	return c, nil
}

// Addr is where it listens, host:port.
func (c *ClickHouse) Addr() string { return c.listener.Addr().String() }

// Sessions is how many clients have logged in.
func (c *ClickHouse) Sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}

// Close ends it and every connection.
func (c *ClickHouse) Close() {
	_ = c.listener.Close()
	c.mu.Lock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.open.Wait()
}

func (c *ClickHouse) serve() {
	for conn, err := c.listener.Accept(); err == nil; conn, err = c.listener.Accept() {
		c.mu.Lock()
		c.conns[conn] = true
		c.mu.Unlock()
		c.open.Go(func() {
			c.hand(conn)
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.conns, conn)
			_ = conn.Close()
		})
	}
}

func (c *ClickHouse) hand(client net.Conn) {
	in := proto.NewReader(client)
	var hello proto.ClientHello
	if code, err := in.UVarInt(); err != nil || code != uint64(proto.ClientCodeHello) || hello.Decode(in) != nil {
		return // no handshake, or no client of the native protocol
	}
	var out proto.Buffer
	if !c.admits(hello.User, hello.Password) {
		refusal := proto.Exception{Code: proto.ErrAuthenticationFailed, Name: "DB::Exception", Message: "Authentication failed"}
		proto.ServerCodeException.Encode(&out)
		refusal.EncodeAware(&out, proto.Version)
		_, _ = client.Write(out.Buf)
		return
	}
	server, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", c.server.Host)
	if err != nil {
		return
	}
	defer server.Close() // nothing is kept in it
	hello.User = c.server.User.Username()
	hello.Password, _ = c.server.User.Password()
	hello.Encode(&out)
	if _, err := server.Write(out.Buf); err != nil {
		return
	}
	c.mu.Lock()
	c.sessions++
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, in)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
