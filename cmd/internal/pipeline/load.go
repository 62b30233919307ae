package pipeline

import (
	"dirtbike/config"
	"dirtbike/schemas"
	"dirtbike/schemas/registry"
	"dirtbike/sinks/clickhouse"
)

// Group is the consumer group that all loaders of a pipeline share.
func Group(c *config.Config) string {
	return "dirtbike." + c.Kafka.Prefix + ".load." + c.ClickHouse.Database
}

// NewLoad wires the load leg; nothing is connected yet.
func NewLoad(o Options) (*clickhouse.Loader, error) {
	c := o.Config
	client, err := KafkaClient(c)
	if err != nil {
		return nil, err
	}
	reg, err := Registry(c)
	if err != nil {
		return nil, err
	}
	limits := c.ClickHouse.Load
	return clickhouse.New(clickhouse.Options{
		Kafka: client, Group: Group(c), Prefix: c.Kafka.Prefix, Registry: reg,
		URL: c.ClickHouse.URL.Reveal(), Database: c.ClickHouse.Database,
		BatchRows: limits.BatchRows, BatchBytes: int64(limits.BatchBytes), MemoryBytes: int64(limits.Memory),
		FlushInterval: limits.FlushInterval, Log: o.Log.Named("load"), Metrics: o.Metrics, Fault: o.Fault,
	})
}

// Registry wires the schema registry's client.
func Registry(c *config.Config) (schemas.Registry, error) {
	tls, err := c.Registry.TLS.Client()
	if err != nil {
		return nil, err
	}
	return registry.New([]string{c.Registry.URL.Reveal()}, registry.Options{User: c.Registry.User, Password: c.Registry.Password.Reveal(), TLS: tls})
}
