package main

import (
	"math/rand/v2"
	"net"
	"sync/atomic"

	"github.com/stretchr/testify/require"
)

// relay puts itself between the legs and a server of the config, given by its URL. For each connection it asks answers
// for a function that sees the size of every piece of the server's answers before it is passed on: it may wait, and
// true cuts the connection in place of passing the piece on.
func (r *rig) relay(server string, answers func() func(n int) (cut bool)) {
	r.Helper()
	to := hostOf(r.T, server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	r.T.Cleanup(func() { _ = listener.Close() })
	r.replaceInConfig(to, listener.Addr().String())
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(client, to, answers())
		}
	}()
}

func serve(client net.Conn, to string, answer func(n int) (cut bool)) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_ = forward(server, client, func(int) bool { return false })
	}()
	_ = forward(client, server, answer)
}

// forward copies until an error, or until cut says to keep what was read last.
func forward(to, from net.Conn, cut func(n int) bool) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && cut(n) {
			return nil
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// lossy loses one answer in six while it is armed: the server has done what was asked, and the client does not know.
type lossy struct {
	cuts  atomic.Int64
	armed atomic.Bool
}

func (l *lossy) loses() func(int) bool {
	return func(int) bool { return l.armed.Load() && rand.IntN(6) == 0 && l.cuts.Add(1) > 0 }
}
