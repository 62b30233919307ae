package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/exposure"
	"dirtbike/cmd/internal/inventory"
	"dirtbike/cmd/internal/status"
	"dirtbike/cmd/internal/wait"
	"dirtbike/config"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/session"
)

// Health holds the connections of checks and of verbs that ask both sides: few, opened lazily, not those of the legs.
type Health struct {
	config *config.Config
	// Postgres and ClickHouse connect at their first use.
	Postgres   *pgxpool.Pool
	ClickHouse driver.Conn
	kafka      *kgo.Client
	// Capture gives the status of a capture in this process; nil if there is none.
	Capture func() capture.Status
	// Checks are those in addition to the collector's.
	Checks []status.Check
}

// NewHealth wires the checks; nothing is connected yet.
func NewHealth(c *config.Config) (*Health, error) {
	pg, err := MonitorLogin(c).Pool(3)
	if err != nil {
		return nil, err
	}
	ch, err := ClickHouse(c)
	if err != nil {
		return nil, err
	}
	kafka, err := NewKafka(c)
	if err != nil {
		return nil, err
	}
	h := &Health{config: c, Postgres: pg, ClickHouse: ch, kafka: kafka}
	h.Checks = []status.Check{status.Reachable("kafka", h.pingKafka)}
	return h, nil
}

func (h *Health) pingKafka(ctx context.Context) error { return KafkaError(h.kafka.Ping(ctx)) }

// parts are the servers without which nothing becomes complete.
func (h *Health) parts() []wait.Part {
	return []wait.Part{
		{Name: "Kafka", Try: "look at the brokers named in kafka.brokers", Ping: h.pingKafka},
		{Name: "Postgres", Try: tryPostgres, Ping: h.pingPostgres},
		{Name: "ClickHouse", Try: tryClickHouse, Ping: h.pingClickHouse},
	}
}

func (h *Health) pingPostgres(ctx context.Context) error {
	err := h.Postgres.Ping(ctx)
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	switch {
	case errors.As(err, &connect):
		return postgres.ConnectError(err)
	case errors.As(err, &said):
		return errors.New(postgres.ServerError(said.Code, said.Message))
	}
	return err
}

func (h *Health) pingClickHouse(ctx context.Context) error {
	err := h.ClickHouse.Ping(ctx)
	if refused := status.ClickHouseLogin(err); err == nil || refused != nil {
		return refused
	}
	return status.ClickHouseAway(err)
}

// topics counts those of tables.
func (h *Health) topics(ctx context.Context) (n int, err error) {
	details, err := kadm.NewClient(h.kafka).ListTopics(ctx)
	for _, name := range details.Names() {
		if strings.HasPrefix(name, h.config.Kafka.Prefix+".") {
			n++
		}
	}
	return n, err
}

// ClickHouse opens the config's ClickHouse; it connects at the first use.
func ClickHouse(c *config.Config) (driver.Conn, error) {
	o, err := ClickHouseOptions(c)
	if err != nil {
		return nil, err
	}
	return session.Open(o)
}

// ClickHouseOptions says where and as whom ClickHouse is asked.
func ClickHouseOptions(c *config.Config) (*clickhouse.Options, error) {
	o, err := clickhouse.ParseDSN(c.ClickHouse.URL.Reveal())
	if err != nil {
		return nil, cdc.Failed("clickhouse.url is malformed").Fix("clickhouse://user:password@host:9000")
	}
	tls, err := c.ClickHouse.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("clickhouse.tls: %w", err)
	}
	if tls != nil { // else the URL may ask for it
		o.TLS = tls
	}
	o.Auth.Database = "default" // ours need not exist yet
	o.MaxOpenConns, o.MaxIdleConns = 4, 2
	return o, nil
}

// Collector gathers the status from both servers, and asks Kafka whether it answers.
func (h *Health) Collector() *status.Collector {
	return status.NewCollector(status.Sources{
		Postgres: h.Postgres, Slot: h.config.Source.Slot, Publication: h.config.Source.Publication, Match: h.config.Source.Match,
		ClickHouse: h.ClickHouse, Database: h.config.ClickHouse.Database, Kafka: h.pingKafka, Strangers: h.Strangers, Topics: h.topics, Capture: h.Capture,
		Obstacles: func(ctx context.Context) (map[string]*cdc.Problem, error) {
			return obstacles(ctx, h.config, quietState(h.config))
		},
		State:     quietState(h.config),
		WALDisk:   int64(h.config.Source.WALDisk),
		Inventory: func(ctx context.Context) (inventory.Inventory, error) { return Inventory(ctx, h.config) }, MayOpen: h.config.Privacy.MayOpen(),
		Exposed: exposure.Problems(h.config), Formers: h.Formers,
	})
}

// Close closes the connections.
func (h *Health) Close() {
	h.Postgres.Close()
	_ = h.ClickHouse.Close() // nothing is open on it
	h.kafka.Close()
}

// clickHouseTime is how long ClickHouse may take to answer a ping, so that a check can still say what is wrong.
const clickHouseTime = status.CheckTime * 2 / 3

// Load is the check of the loader of this process: its newest failure that still lasts, a ClickHouse that hangs, for
// which a statement waits for minutes before it fails, or strangers in its group.
func (h *Health) Load(lastError func() string) status.Check {
	return status.Check{Name: "load", Func: func(ctx context.Context) error {
		if text := lastError(); text != "" {
			if strangers := h.Strangers(ctx); strangers != nil { // one that groups otherwise keeps all loaders out
				return cdc.Together(strangers, errors.New(text))
			}
			return errors.New(text)
		}
		asking, cancel := context.WithTimeout(ctx, clickHouseTime)
		defer cancel()
		err := status.Answers(asking, h.pingClickHouse)
		if err == nil {
			return h.Strangers(ctx)
		}
		if asking.Err() != nil {
			err = cdc.Failed("nothing within %s", clickHouseTime)
		}
		return cdc.Failed("ClickHouse does not answer").Because(err).Keeps("changes wait in Kafka, and load goes on by itself").OrFix(tryClickHouse)
	}}
}

// Horizon warns at half of the replay horizon: a loader that is late by the whole of it refuses to go on (rule 10).
func (h *Health) Horizon() status.Check {
	return status.Check{Name: "horizon", Func: func(ctx context.Context) error {
		complete, err := ledger.New(h.ClickHouse, h.config.ClickHouse.Database).Complete(ctx)
		if err != nil {
			return nil //nolint:nilerr // the check clickhouse says so
		}
		return late(complete, h.config.Kafka.ReplayHorizon)
	}}
}

// late is Horizon for what ClickHouse has.
func late(complete []ledger.Complete, horizon time.Duration) error {
	for _, c := range complete {
		if ago := time.Since(c.CommitTime); c.Table == "" && ago > horizon/2 {
			return cdc.Failed("ClickHouse is complete up to %s ago, more than half of kafka.replay_horizon", ago.Round(time.Minute)).
				Fix("bring capture and load up before it is over")
		}
	}
	return nil
}
