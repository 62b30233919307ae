package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/zap"
)

// Registry is a schema registry with Confluent's API (srfake) whose content, schema ids included, survives a restart on
// the same directory. It serves inside this process. Its methods may be called concurrently.
type Registry struct {
	port int
	path string // journal
	log  *zap.Logger

	mu      sync.Mutex
	server  *http.Server
	journal *journal
}

func openRegistry(d *workDir, log *zap.Logger) (*Registry, error) {
	dir, err := d.sub("registry")
	return &Registry{port: d.state.Ports["registry"], path: filepath.Join(dir, "journal.jsonl"), log: log}, err
}

// URL returns the base address; it stays the same over restarts.
func (r *Registry) URL() string { return "http://" + loopback(r.port) }

// Start serves after Stop, on the same port. One that serves is left alone.
func (r *Registry) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server != nil {
		return nil
	}
	j, err := openJournal(r.path, srfake.NewRegistry().Handler())
	if err != nil {
		return err
	}
	l, err := backoff.Retry(ctx, func() (net.Listener, error) { return net.Listen("tcp", loopback(r.port)) },
		backoff.WithBackOff(backoff.NewConstantBackOff(50*time.Millisecond)), backoff.WithMaxElapsedTime(formerEndsWithin))
	if err != nil {
		return errors.Join(fmt.Errorf("start the registry: %w", err), j.close())
	}
	server := &http.Server{Handler: anySubject(j), ReadHeaderTimeout: 10 * time.Second}
	r.journal, r.server = j, server
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.log.Error("the embedded registry ended by itself", zap.Error(err))
		}
	}()
	return nil
}

// Stop ends the registry after the requests that are being answered.
func (r *Registry) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop the registry: %w", err), r.server.Close())
	}
	return r.closed(err)
}

// Kill cuts every connection at once.
func (r *Registry) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return nil
	}
	return r.closed(r.server.Close())
}

func (r *Registry) closed(err error) error {
	err = errors.Join(err, r.journal.close())
	r.server, r.journal = nil, nil
	return err
}
