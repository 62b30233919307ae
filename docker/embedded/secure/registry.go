package secure

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	"go.uber.org/zap"
)

// Registry is an HTTPS front with basic authentication. It is safe for concurrent use.
type Registry struct {
	login
	server *httptest.Server
}

// StartRegistry serves what is at the URL to a user with that password, under the certificate.
func StartRegistry(target string, certificate Certificate, user, password string) (*Registry, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	r := &Registry{}
	r.SetLogin(user, password)
	quiet := zap.NewStdLog(zap.NewNop()) // refused handshakes are part of tests
	r.server = httptest.NewUnstartedServer(r.guard(&httputil.ReverseProxy{ErrorLog: quiet, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.Header.Del("Authorization")
	}}))
	r.server.Config.ErrorLog = quiet
	if r.server.TLS, err = certificate.Server(); err != nil {
		return nil, err
	}
	r.server.StartTLS()
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
func (r *Registry) Addr() string { return r.server.Listener.Addr().String() }

// Close ends it and every connection.
func (r *Registry) Close() {
	r.server.CloseClientConnections()
	r.server.Close()
}
