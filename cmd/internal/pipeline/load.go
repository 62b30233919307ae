package pipeline

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/config"
	"dirtbike/schemas/registry"
	"dirtbike/sinks/clickhouse"
)

// Group is the consumer group that all loaders of a pipeline share.
func Group(c *config.Config) string {
	return "dirtbike." + c.Kafka.Prefix + ".load." + c.ClickHouse.Database
}

// NewLoad wires the load leg; nothing is connected yet. release frees what it holds outside of Run.
func NewLoad(o Options) (loader *clickhouse.Loader, release func(), err error) {
	c := o.Config
	client, err := KafkaClient(c)
	if err != nil {
		return nil, nil, err
	}
	reg, err := Registry(c)
	if err != nil {
		return nil, nil, err
	}
	producers := o
	producers.Metrics = nil // they are those of capture
	state, err := newSink(producers)
	if err != nil {
		return nil, nil, err
	}
	client = append(client, kgo.SessionTimeout(groupSession), kgo.HeartbeatInterval(groupSession/4))
	tls, err := c.ClickHouse.TLS.Client()
	if err != nil {
		return nil, nil, fmt.Errorf("clickhouse.tls: %w", err)
	}
	limits := c.ClickHouse.Load
	loader, err = clickhouse.New(clickhouse.Options{
		Kafka: client, Group: Group(c), Instance: instance(c.Ops.Listen), Prefix: c.Kafka.Prefix, Registry: reg,
		URL: c.ClickHouse.URL.Reveal(), TLS: tls, Database: c.ClickHouse.Database,
		BatchRows: limits.BatchRows, BatchBytes: int64(limits.BatchBytes), MemoryBytes: int64(limits.Memory),
		MaxMessageBytes: c.Kafka.MaxMessageBytes.Int(), Producers: state, Controls: state, FlushInterval: limits.FlushInterval, ReplayHorizon: c.Kafka.ReplayHorizon,
		LoggedIn: o.Patient, Log: o.Log.Named("load"), Metrics: o.Metrics, Fault: o.Fault,
	})
	return loader, func() {
		reg.Close()
		_ = state.Close(context.Background()) // it has no transaction
	}, err
}

// groupSession is how long a loader may be silent before the others take its partitions over.
const groupSession = 6 * time.Second

// instance names this loader for the consumer group, so that a killed one gets its partitions back at once when it is
// started again: two loaders of one host cannot listen on one port. With port 0 it has no name that lasts.
func instance(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	host, hostErr := os.Hostname()
	if err != nil || hostErr != nil || port == "0" {
		return ""
	}
	return "dirtbike-" + host + "-" + port
}

// Registry wires the schema registry's client.
func Registry(c *config.Config) (*registry.Client, error) {
	tls, err := c.Registry.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("registry.tls: %w", err)
	}
	return registry.New([]string{c.Registry.URL.Reveal()}, registry.Options{User: c.Registry.User, Password: c.Registry.Password.Reveal(), TLS: tls})
}
