package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const brokerStop = 30 * time.Second

// Kafka is one broker, kfake or Apache Kafka, in a child process. Topics are never created by themselves. Its methods
// may be called concurrently.
type Kafka struct {
	kind string // "kfake" or "apache"
	port int
	// secure is the port for TLS and logins; 0 = none
	secure int
	spec   func() (spec, error)
	log    *zap.Logger

	mu    sync.Mutex
	child *child
}

// Brokers returns the bootstrap address; it stays the same over restarts.
func (k *Kafka) Brokers() []string { return []string{loopback(k.port)} }

// SecureBrokers returns the bootstrap address for TLS and logins; nil without a KafkaLogin.
func (k *Kafka) SecureBrokers() []string {
	if k.secure == 0 {
		return nil
	}
	return []string{loopback(k.secure)}
}

// Kind returns "kfake" or "apache".
func (k *Kafka) Kind() string { return k.kind }

// Start starts the broker unless it runs, on the same port, and waits until it answers.
func (k *Kafka) Start(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.spawn(ctx); err != nil {
		return err
	}
	if err := k.waitBroker(ctx); err != nil {
		return errors.Join(err, k.child.kill())
	}
	return nil
}

// spawn starts the process. The port may be held for a moment by the former process of a killed parent.
func (k *Kafka) spawn(ctx context.Context) error {
	if k.child != nil && k.child.running() {
		return nil
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if !portFree(k.port) {
			return struct{}{}, fmt.Errorf("port %d of Kafka is in use. Try: end what listens there", k.port)
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(backoff.NewConstantBackOff(100*time.Millisecond)), backoff.WithMaxElapsedTime(lockGoesWithin))
	if err != nil {
		return err
	}
	s, err := k.spec()
	if err != nil {
		return err
	}
	c, err := spawn(s)
	if err != nil {
		return err
	}
	k.child = c
	go reportExit(c, k.log)
	return nil
}

// waitBroker waits until the broker knows itself, or ends.
func (k *Kafka) waitBroker(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.RetryTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	return waitReady(ctx, k.child, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		meta, err := admin.BrokerMetadata(ctx)
		if err == nil && len(meta.Brokers) == 0 {
			err = errors.New("no broker is registered")
		}
		return err
	})
}

// Stop ends the broker gracefully.
func (k *Kafka) Stop(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return stopChild(ctx, k.child, []stopStep{{syscall.SIGTERM, brokerStop}})
}

// Kill sends SIGKILL to the broker and waits until it is gone.
func (k *Kafka) Kill() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.child == nil {
		return nil
	}
	return k.child.kill()
}

// Restart is Stop, then Start; after Kill it only starts.
func (k *Kafka) Restart(ctx context.Context) error {
	if err := k.Stop(ctx); err != nil {
		return err
	}
	return k.Start(ctx)
}
