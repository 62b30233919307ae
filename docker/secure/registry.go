package secure

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// Registry is an HTTPS front with basic authentication. It is safe for concurrent use.
type Registry struct {
	login
	listener net.Listener
	server   *http.Server
}

// StartRegistry serves what is at the URL to a user with that password, under the certificate.
func StartRegistry(behind string, certificate Certificate, user, password string) (*Registry, error) {
	to, err := url.Parse(behind)
	if err != nil {
		return nil, err
	}
	settings, err := certificate.Server()
	if err != nil {
		return nil, err
	}
	r := &Registry{}
	r.SetLogin(user, password)
	quiet := log.New(io.Discard, "", 0) // refused handshakes are part of tests
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.Header.Del("Authorization")
	}, ErrorLog: quiet}
	r.server = &http.Server{TLSConfig: settings, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet, Handler: r.guard(proxy)}
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go func() {
		if err := r.server.ServeTLS(r.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return r, nil
}

func (r *Registry) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, password, ok := req.BasicAuth(); !ok || !r.admits(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error_code":401,"message":"Unauthorized"}`)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// Addr is where it listens, host:port.
func (r *Registry) Addr() string { return r.listener.Addr().String() }

// Close ends it and every connection.
func (r *Registry) Close() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.server.Shutdown(ended) // ended already: it only closes the listener
	_ = r.server.Close()
}
