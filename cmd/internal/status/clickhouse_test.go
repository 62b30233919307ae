package status

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/ledger"
)

// native is a server that takes connections of ClickHouse's own protocol and does answer with each, once it has heard
// the client.
func native(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadByte()
			answer(conn)
		}
	}()
	return l.Addr().String()
}

// exception is the packet with which ClickHouse refuses.
func exception(code int32) []byte {
	out := binary.LittleEndian.AppendUint32([]byte{2}, uint32(code))
	for _, s := range []string{"DB::Exception", "nobody: Authentication failed", ""} {
		out = append(append(out, byte(len(s))), s...)
	}
	return append(out, 0)
}

func asked(t *testing.T, ctx context.Context, url string) error { //nolint:revive // the helper's t comes first
	t.Helper()
	options, err := clickhouse.ParseDSN(url)
	require.NoError(t, err)
	conn, err := clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = askClickHouse(ctx, ledger.New(conn, "clinic").Complete)
	return err
}

// TestARefusedLoginHasOneAnswer, whatever the protocol and the code; the server's text names the user and is dropped.
func TestARefusedLoginHasOneAnswer(t *testing.T) {
	for _, code := range []int32{192, 193, 516} {
		over := map[string]string{"native": "clickhouse://nobody:hunter2@" + native(t, func(conn net.Conn) {
			_, _ = conn.Write(exception(code))
			_ = conn.Close()
		})}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(int(code)))
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("Code: " + strconv.Itoa(int(code)) + ". DB::Exception: nobody: Authentication failed. (AUTHENTICATION_FAILED)"))
		}))
		t.Cleanup(server.Close)
		over["HTTP"] = "http://nobody:hunter2@" + server.Listener.Addr().String()
		for name, url := range over {
			err := asked(t, t.Context(), url)
			require.ErrorIs(t, err, proto.Error(code), name)
			require.NotContains(t, err.Error(), "nobody", name)
			require.Len(t, cdc.Explain(err).Try, 1, name)
			require.ErrorIs(t, err, cdc.ErrRefused, name)
			require.Equal(t, err, pingError(ClickHouseAway(&clickhouse.Exception{Code: code})))
		}
	}
	require.NoError(t, pingError(nil))
	require.NoError(t, ClickHouseLogin(&clickhouse.Exception{Code: 497}), "a right is missing, the login was good")
}

// TestAServerThatHangsUp: one that aborts at a login is away; the client's own terms are not shown.
func TestAServerThatHangsUp(t *testing.T) {
	at := native(t, func(conn net.Conn) { _ = conn.Close() })
	err := asked(t, t.Context(), "clickhouse://nobody:hunter2@"+at)
	require.NotErrorIs(t, err, cdc.ErrRefused)
	require.Contains(t, cdc.Explain(err).What, at)
	require.Len(t, cdc.Explain(err).Try, 1)
	require.NotContains(t, err.Error(), "conn_id")
	require.NotContains(t, err.Error(), "handshake")
	require.Equal(t, "a b", cdc.Explain(ClickHouseAway(errors.New("a\n\tb"))).What)
}

// TestAServerThatSaysNothing: the deadline holds, and the part is named.
func TestAServerThatSaysNothing(t *testing.T) {
	at := native(t, func(net.Conn) {})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	requireHangs(t, asked(t, ctx, "clickhouse://"+at), "ClickHouse")

	pool, err := pgxpool.New(t.Context(), "postgres://u:hunter2@"+at+"/x?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	options, err := clickhouse.ParseDSN("clickhouse://" + at)
	require.NoError(t, err)
	conn, err := clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s, err := NewCollector(Sources{Postgres: pool, Slot: "s", ClickHouse: conn, Database: "clinic"}).Measured(ctx)
	requireHangs(t, err, "Postgres")
	require.Len(t, s.Missing, 2)
}

func requireHangs(t *testing.T, err error, part string) {
	t.Helper()
	require.ErrorIs(t, err, cdc.ErrUnreachable)
	p := cdc.Explain(err)
	require.Contains(t, p.What, part+" hangs")
	require.Len(t, p.Try, 1)
}

// TestRefusedStatus: what ClickHouse lacks for now is no decision, and what to do is what the code says.
func TestRefusedStatus(t *testing.T) {
	for code, kind := range map[proto.Error]error{
		proto.ErrMemoryLimitExceeded: cdc.ErrUnreachable, proto.ErrAccessDenied: cdc.ErrRefused, proto.ErrUnknownSetting: cdc.ErrRefused, proto.ErrBadArguments: cdc.ErrRefused,
	} {
		err := refusedStatus("ask", &clickhouse.Exception{Code: int32(code), Message: "a value"})
		require.ErrorIs(t, err, kind)
		require.Len(t, cdc.Explain(err).Remedies(), 1, code)
		require.NotContains(t, err.Error(), "a value")
	}
}
