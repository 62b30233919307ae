package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the kernel's ephemeral range (32768 and up by default): in that range an outgoing connection of
// any process could have the port of a part that is being restarted, even a client's connection to itself.
const (
	firstPort = 15000
	lastPort  = 32000
	portTries = 200
)

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// portFree reports whether a listener could be opened on the loopback port now.
func portFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// freePort returns a free loopback port that is not in taken.
func freePort(taken map[string]int) (int, error) {
	used := make(map[int]bool, len(taken))
	for _, p := range taken {
		used[p] = true
	}
	for range portTries {
		p := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // a port is no secret
		if !used[p] && portFree(p) {
			return p, nil
		}
	}
	return 0, errors.New("no free loopback port found between " + strconv.Itoa(firstPort) + " and " + strconv.Itoa(lastPort))
}

// port returns the remembered port of name if it is still free, else a new one, which it remembers.
func (s *state) port(name string) (int, error) {
	if p, ok := s.Ports[name]; ok && portFree(p) {
		return p, nil
	}
	delete(s.Ports, name)
	p, err := freePort(s.Ports)
	if err != nil {
		return 0, fmt.Errorf("choose a port for %s: %w", name, err)
	}
	s.Ports[name] = p
	return p, nil
}
