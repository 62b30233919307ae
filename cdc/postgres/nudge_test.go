package postgres

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestOneRequestAtATime: a server that does not answer is not asked again and again, one that has answered is.
func TestOneRequestAtATime(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	st := &stream{conn: ours, frontend: pgproto3.NewFrontend(ours, ours), stop: make(chan struct{})}
	requests := make(chan byte, 10)
	go func() {
		defer close(requests)
		for message := make([]byte, 39); ; {
			if _, err := io.ReadFull(theirs, message); err != nil {
				return
			}
			requests <- message[38]
		}
	}()
	for range 3 {
		require.NoError(t, st.Nudge())
	}
	require.NoError(t, st.sendStatus(false)) // it comes after all of the above
	require.EqualValues(t, 1, <-requests)
	require.EqualValues(t, 0, <-requests)
	go func() {
		keepalive := append([]byte{'d', 0, 0, 0, 4 + 18, 'k'}, make([]byte, 17)...)
		binary.BigEndian.PutUint64(keepalive[6:], 77)
		_, _ = theirs.Write(keepalive)
	}()
	e, err := st.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, cdc.EventKeepalive, e.Kind)
	require.NoError(t, st.Nudge())
	require.EqualValues(t, 1, <-requests)
}
