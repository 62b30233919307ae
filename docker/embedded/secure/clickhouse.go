package secure

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
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
	in := bufio.NewReader(client)
	hello, user, password, err := readHello(in)
	if err != nil {
		return // no handshake, or no client of the native protocol
	}
	if !c.admits(user, password) {
		_, _ = client.Write(refusal())
		return
	}
	server, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", c.server.Host)
	if err != nil {
		return
	}
	defer server.Close() // nothing is kept in it
	secret, _ := c.server.User.Password()
	if _, err := server.Write(text(text(hello, c.server.User.Username()), secret)); err != nil {
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

// readHello reads the packet that begins a session: 0, the client's name, three versions, database, user, password.
// What comes before the user is given as it was.
func readHello(in *bufio.Reader) (before []byte, user, password string, err error) {
	number := func() {
		var n uint64
		if err == nil {
			n, err = binary.ReadUvarint(in)
			before = binary.AppendUvarint(before, n)
		}
	}
	word := func() (s string) {
		if err == nil {
			s, err = readText(in)
		}
		return s
	}
	number()
	before = text(before, word())
	for range 3 {
		number()
	}
	before = text(before, word())
	return before, word(), word(), err
}

// longest is more than any word of a hello has.
const longest = 1 << 10

func readText(in *bufio.Reader) (string, error) {
	n, err := binary.ReadUvarint(in)
	if err == nil && n > longest {
		err = errors.New("no hello of the native protocol")
	}
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(in, b)
	return string(b), err
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// refusal is the exception that a server answers a wrong login with.
func refusal() []byte {
	const exception, authenticationFailed = 2, 516
	b := binary.LittleEndian.AppendUint32([]byte{exception}, authenticationFailed)
	b = text(b, "DB::Exception")
	b = text(b, "DB::Exception: dirtbike: Authentication failed: password is incorrect, or there is no user with such name.")
	return append(text(b, ""), 0) // no trace, nothing nested
}
