package embedded

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const brokerStop = 30 * time.Second

// Kafka is one broker, kfake or Apache Kafka, in a child process. Topics are never created by themselves.
type Kafka struct {
	server
	port   int
	secure int // the port for TLS and logins; 0 = none
}

func openKafka(d *workDir, apache string, o Options) (*Kafka, error) {
	if o.Kafka == kindApache {
		return openApache(d, apache, o.KafkaLogin, o.Log)
	}
	return openKfake(d, o.Log)
}

// newKafka describes a broker; spec makes the child's description for each start.
func newKafka(port, secure int, log *zap.Logger, spec func(ctx context.Context) (spec, error)) *Kafka {
	k := &Kafka{port: port, secure: secure}
	k.server = server{log: log, end: bySignals(stopStep{syscall.SIGTERM, brokerStop}), launch: func(ctx context.Context) (*child, error) {
		if !portFree(port) {
			return nil, fmt.Errorf("port %d of Kafka is in use. Try: end what listens there", port)
		}
		s, err := spec(ctx)
		if err != nil {
			return nil, backoff.Permanent(err)
		}
		c, err := k.launchBroker(ctx, s)
		if err != nil {
			err = backoff.Permanent(err)
		}
		return c, err
	}}
	return k
}

// Brokers returns the bootstrap address; it stays the same over restarts.
func (k *Kafka) Brokers() []string { return []string{loopback(k.port)} }

// SecureBrokers returns the bootstrap address for TLS and logins, which needs a KafkaLogin.
func (k *Kafka) SecureBrokers() []string { return []string{loopback(k.secure)} }

// launchBroker waits until the broker knows itself, or ends.
func (k *Kafka) launchBroker(ctx context.Context, s spec) (*child, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.RetryTimeout(time.Second))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	return launch(ctx, s, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		meta, err := admin.BrokerMetadata(ctx)
		if err == nil && len(meta.Brokers) == 0 {
			err = errors.New("no broker is registered")
		}
		return err
	})
}
