package clickhouse

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/errcode"
)

// retry does f until it succeeds, ctx ends, or f fails for a reason that will not go away; each failure shows in the
// status. What f does must be idempotent: an error may hide a success.
type retry func(ctx context.Context, what string, f func(context.Context) error) error

// outage retries what fails, and says so. It is safe for concurrent use.
type outage struct {
	status   *status
	retries  prometheus.Counter
	log      *zap.Logger
	loggedIn atomic.Bool // ClickHouse has let this process in
}

func (o *outage) retry(ctx context.Context, what string, f func(context.Context) error) error {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	defer o.status.recovered(what)
	for {
		err := f(ctx)
		if err == nil {
			if partOf(what) == partClickHouse {
				o.loggedIn.Store(true)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refused := o.refusedLogin(err); refused != nil {
			return refused
		}
		if isFinal(err) {
			return err
		}
		o.retries.Inc()
		wait := b.NextBackOff()
		o.complain("trying again", what, err, zap.Duration("in", wait))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// refusedLogin is an error if ClickHouse refuses user or password and has not let this process in before: somebody has
// to mend the config. Later a password is being changed, which is waited for.
func (o *outage) refusedLogin(err error) error {
	if !errcode.RefusesLogin(err) || o.loggedIn.Load() {
		return nil
	}
	return cdc.Refused("ClickHouse refuses the login of clickhouse.url").Because(errcode.Of(err)).
		Keeps("changes wait in Kafka").Fix("its user and password")
}

// complain shows a failure in the status and the log. The first line of an outage says what is safe and what to do.
func (o *outage) complain(message, what string, err error, fields ...zap.Field) {
	explained := errcode.Explain(err)
	if o.status.failed(what, err) {
		message += "; " + outages[partOf(what)].safe
		if len(cdc.Explain(explained).Try) == 0 {
			message += ". Try: " + outages[partOf(what)].try
		}
	}
	o.log.Warn(message, append([]zap.Field{zap.String("what", what), zap.String("error", explained.Error())}, fields...)...)
}

// part is what load cannot work without.
type part int

const (
	partClickHouse part = iota
	partKafka
	partRegistry
)

// partOf says what is asked when something is tried.
func partOf(what string) part {
	switch what {
	case readRecords, beInGroup, readMetadata, readEnds:
		return partKafka
	case readSchema:
		return partRegistry
	}
	return partClickHouse
}

// outages say what is safe while a part is away, and what to do.
var outages = map[part]struct{ safe, try string }{
	partClickHouse: {"changes wait in Kafka, and load goes on by itself", "see that ClickHouse runs and clickhouse.url is right"},
	partKafka:      {"what is loaded is safe, what is not waits in Kafka or in Postgres' log, and load goes on by itself", "look at the brokers named in kafka.brokers"},
	partRegistry:   {"changes wait in Kafka, and load goes on by itself", "see that the registry runs and registry.url is right"},
}

// What is tried and asks another part than ClickHouse, besides readRecords, beInGroup and readMetadata.
const (
	readEnds   = "read the topics' ends"
	readSchema = "read a schema from the registry"
)
