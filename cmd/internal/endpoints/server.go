package endpoints

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/status"
)

// shutdownTime is how long requests in flight may take once the server ends.
const shutdownTime = 2 * time.Second

// Server answers:
//
//	/livez    200 as long as the process answers: lag or a dead sink must not restart it; it asks for no login
//	/readyz   200 if every check is good, else 503 and each check's line; ?verbose lists them always,
//	          ?exclude=NAME leaves one out
//	/status   Status as JSON; 503 if Postgres or ClickHouse could not be asked: `missing` says why, and the other
//	          fields what is known without it; 503 and one line of text if nothing can be said
//	/metrics  Prometheus text format
//
// What it shows and whom it lets in may be replaced while it runs: see Show and Protect.
type Server struct {
	listener net.Listener
	views    atomic.Pointer[views]
	guard    atomic.Pointer[Guard]
	running  atomic.Bool
	http     *http.Server
	// Word is applied to every text that it answers; nil changes nothing. It must be set before Run.
	Word func(string) string
}

// views are what a Server answers from.
type views struct {
	checks  []*runner
	status  func(context.Context) (status.Status, error)
	metrics http.Handler
}

// New listens at once (port 0 takes a free one, see Addr); only Run answers.
func New(listen string, checks []status.Check, status func(context.Context) (status.Status, error), gatherer prometheus.Gatherer) (*Server, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		const try = "--listen 127.0.0.1:0"
		p := cdc.Failed("listen at ops.listen %s", listen).Because(err)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, p.Keeps("Is dirtbike running already? A second capture would take over from it").
				Fix("dirtbike status").Fix("to run beside it, " + try)
		}
		return nil, p.Fix(try)
	}
	s := &Server{listener: listener}
	s.Show(checks, status, gatherer)
	s.guard.Store(&Guard{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.guarded(s.readyz))
	mux.HandleFunc("GET /status", s.guarded(s.statusJSON))
	mux.HandleFunc("GET /metrics", s.guarded(func(w http.ResponseWriter, r *http.Request) { s.views.Load().metrics.ServeHTTP(w, r) }))
	s.http = limited(mux)
	return s, nil
}

// Show replaces what the server answers from; requests under way are answered from what was there.
func (s *Server) Show(checks []status.Check, status func(context.Context) (status.Status, error), gatherer prometheus.Gatherer) {
	v := &views{status: status, metrics: promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})}
	for _, c := range checks {
		v.checks = append(v.checks, &runner{Check: c})
	}
	s.views.Store(v)
}

// Addr is the address in use, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run answers until ctx ends, which is no error.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	s.running.Store(true)
	listener := net.Listener(watched{s.listener})
	if s.guard.Load().TLS != nil {
		current := func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.guard.Load().TLS, nil }
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: current})
	}
	go func() { ended <- s.http.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := s.http.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	report, ok := s.check(r.Context(), query["exclude"])
	switch {
	case !ok:
		s.text(w, http.StatusServiceUnavailable, report+"readyz check failed\n")
	case query.Has("verbose"):
		s.text(w, http.StatusOK, report+"readyz check passed\n")
	default:
		text(w, http.StatusOK, "ok\n")
	}
}

func (s *Server) statusJSON(w http.ResponseWriter, r *http.Request) {
	answer, err := s.views.Load().status(r.Context())
	if err != nil && len(answer.Missing) == 0 {
		s.text(w, http.StatusServiceUnavailable, cdc.Explain(err).Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = console.WriteJSON(w, answer) // an error says that the client has gone
}

// text answers with what a person reads, on a terminal too: errors may quote what other servers said.
func (s *Server) text(w http.ResponseWriter, code int, body string) {
	body = console.PrintableLines(body)
	if s.Word != nil {
		body = s.Word(body)
	}
	text(w, code, body)
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body)) // the client has gone
}
