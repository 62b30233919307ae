package postgres

import (
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// answersWith is a server whose timeline history is what write sends.
func answersWith(t *testing.T, write func(net.Conn)) Login {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go speak(conn, write)
		}
	}()
	return Login{URL: "postgres://u@" + listener.Addr().String() + "/d?sslmode=disable"}
}

// speak answers as a server that is asked who it is.
func speak(conn net.Conn, write func(net.Conn)) {
	defer func() { _ = conn.Close() }()
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	for {
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if server.Flush() != nil {
			return
		}
		asked, err := server.Receive()
		if err != nil {
			return
		}
		query, is := asked.(*pgproto3.Query)
		switch {
		case !is:
			return
		case strings.HasPrefix(query.String, "IDENTIFY_SYSTEM"):
			server.Send(&pgproto3.RowDescription{Fields: fields("systemid", "timeline", "xlogpos", "dbname")})
			server.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("7000000000000000001"), []byte("2"), []byte("0/5000000"), []byte("d")}})
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("IDENTIFY_SYSTEM")})
		case strings.HasPrefix(query.String, "TIMELINE_HISTORY"):
			server.Send(&pgproto3.RowDescription{Fields: fields("filename", "content")})
			if server.Flush() != nil {
				return
			}
			write(conn)
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("TIMELINE_HISTORY")})
		default:
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("SET")})
		}
	}
}

func fields(names ...string) (out []pgproto3.FieldDescription) {
	for _, name := range names {
		out = append(out, pgproto3.FieldDescription{Name: []byte(name), DataTypeOID: 25, DataTypeSize: -1})
	}
	return out
}

// historyRow is a DataRow with a history of so many bytes that is announced, and what is sent of it.
func historyRow(announced int, content string) []byte {
	const name = "00000002.history"
	body := binary.BigEndian.AppendUint32([]byte{0, 2}, uint32(len(name)))
	body = binary.BigEndian.AppendUint32(append(body, name...), uint32(announced))
	out := binary.BigEndian.AppendUint32([]byte{'D'}, uint32(4+len(body)+announced))
	return append(append(out, body...), content...)
}

// TestLargeHistory: a timeline history that no server has is not read into memory, and one of a server that failed over
// a hundred times is.
func TestLargeHistory(t *testing.T) {
	const line = "1\t0/3000148\tno recovery target specified\n\n"
	hundred := strings.Repeat(line, 100)
	source := New(Options{Login: answersWith(t, func(c net.Conn) { _, _ = c.Write(historyRow(len(hundred), hundred)) })})
	got, err := source.Identify(t.Context())
	require.NoError(t, err)
	require.Len(t, got.Switches, 100)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	source = New(Options{Login: answersWith(t, func(c net.Conn) {
		_, err := c.Write(historyRow(900<<20, ""))
		for endless := []byte(strings.Repeat(line, 1000)); err == nil; {
			_, err = c.Write(endless)
		}
	})})
	_, err = source.Identify(t.Context())
	require.NotNil(t, TooLarge(err), "%v", err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}
