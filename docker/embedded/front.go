package embedded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go/proto"
)

// front takes connections for the ClickHouse library and passes them on, in the library's own process.
//
// The library aborts where the program logs an error: when a client resets its connection, and when it refuses anything
// inside the handshake of the native protocol (a wrong password, an unknown database, a hello that is cut short). So
// the library sees only connections that end in order, and only handshakes that it has accepted over HTTP.
type front struct {
	to   string // address of the library
	http string // address of the library's HTTP interface; "" for HTTP itself, which bears every refusal
}

const (
	helloTime = 10 * time.Second // for a client's hello
	drainTime = time.Minute      // for what the library still sends to a client that is gone

	longestHello = 1 << 16 // bytes
)

// serve listens on a loopback port until the process ends.
func (f front) serve(port int) error {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return fmt.Errorf("listen for ClickHouse: %w", err)
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil { // the stack starts the process again
				fmt.Fprintln(os.Stderr, "embedded child: accept for ClickHouse:", err)
				os.Exit(1)
			}
			go f.pass(client.(*net.TCPConn))
		}
	}()
	return nil
}

// pass serves one connection.
func (f front) pass(client *net.TCPConn) {
	defer client.Close() //nolint:errcheck // it ends either way
	var hello []byte
	if f.http != "" {
		var ok bool
		if hello, ok = f.admit(client); !ok {
			return
		}
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", f.to)
	if err != nil {
		_ = client.SetLinger(0) // a reset, as if nothing listened
		return
	}
	library := conn.(*net.TCPConn)
	defer library.Close() //nolint:errcheck // it ends either way
	if _, err := library.Write(hello); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(library, client)
		_ = library.CloseWrite()
	}()
	_, _ = io.Copy(client, library)
	_ = client.CloseWrite()
	_ = library.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, library)
}

// admit reads the hello of a native client, and answers one that the library would refuse. What was read is given on.
func (f front) admit(client *net.TCPConn) (read []byte, ok bool) {
	var seen bytes.Buffer
	in := proto.NewReader(io.TeeReader(io.LimitReader(client, longestHello), &seen))
	_ = client.SetReadDeadline(time.Now().Add(helloTime))
	var hello proto.ClientHello
	if code, err := in.UVarInt(); err != nil || code != uint64(proto.ClientCodeHello) || hello.Decode(in) != nil {
		return nil, false
	}
	_ = client.SetReadDeadline(time.Time{})
	refused, err := f.ask(hello)
	if err != nil {
		_ = client.SetLinger(0)
		return nil, false
	}
	if refused != nil {
		var b proto.Buffer
		proto.ServerCodeException.Encode(&b)
		refused.EncodeAware(&b, int(proto.Version))
		_, _ = client.Write(b.Buf)
		return nil, false
	}
	return seen.Bytes(), true
}

// ofHandshake are the codes with which a server refuses a login.
var ofHandshake = []proto.Error{
	proto.ErrUnknownDatabase, proto.ErrUnknownUser, proto.ErrWrongPassword, proto.ErrRequiredPassword, proto.ErrIPAddressNotAllowed,
	proto.ErrUnknownAddressPatternType, proto.ErrDatabaseAccessDenied, proto.ErrAccessDenied, proto.ErrAuthenticationFailed,
}

// ask lets the library judge a login; err: it did not answer.
func (f front) ask(hello proto.ClientHello) (refused *proto.Exception, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.http+"/?query=SELECT+1", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-ClickHouse-User", hello.User)
	req.Header.Set("X-ClickHouse-Key", hello.Password)
	if hello.Database != "" {
		req.Header.Set("X-ClickHouse-Database", hello.Database)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode == http.StatusOK {
		return nil, err
	}
	code, err := strconv.Atoi(resp.Header.Get("X-ClickHouse-Exception-Code"))
	if err != nil {
		return nil, fmt.Errorf("the library answers %s without a code", resp.Status)
	}
	if !slices.Contains(ofHandshake, proto.Error(code)) {
		return nil, nil // the question was refused, by the user's settings for example, and not the login
	}
	return &proto.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: firstLine(string(body))}, nil
}
