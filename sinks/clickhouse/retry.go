package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/consume"
	"dirtbike/sinks/clickhouse/errcode"
)

// retry calls f until it succeeds, ctx ends, or f fails for a reason that will not go away; each failure shows in
// LastError. What f does must be idempotent: an error may hide a success.
type retry func(ctx context.Context, what string, f func(context.Context) error) error

// outage retries what fails, and says so. It is safe for concurrent use.
type outage struct {
	retries  prometheus.Counter
	patience time.Duration // how long bookkeeping may be missing before load stops
	log      *zap.Logger
	loggedIn atomic.Bool // ClickHouse has accepted the login before

	mu      sync.Mutex
	failing map[string]failure // the last one of each step that is retried, until it succeeds or is given up
	warned  map[part]bool      // those whose outage was logged as a warning, until it ends
	logged  map[string]spoken  // what was logged of each step, until all outages end
}

// spoken counts the lines about one step since at.
type spoken struct {
	at    time.Time
	lines int
}

// A step that fails logs so many lines in that time at most: the client tells each failure once for every partition.
const (
	linesAtOnce = 3
	linesWithin = 10 * time.Second
)

type failure struct {
	text string
	at   time.Time
}

func newOutage(retries prometheus.Counter, patience time.Duration, log *zap.Logger) *outage {
	return &outage{retries: retries, patience: patience, log: log, failing: map[string]failure{}, warned: map[part]bool{}, logged: map[string]spoken{}}
}

func (o *outage) retry(ctx context.Context, what string, f func(context.Context) error) error {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	defer o.recovered(what)
	for began := time.Now(); ; {
		err := f(ctx)
		if err == nil {
			if partOf(what, nil) == partClickHouse {
				o.loggedIn.Store(true)
			}
			return nil
		}
		if refused := o.refusedLogin(err); refused != nil {
			err = refused
		} else if ofStorage(err) && time.Since(began) >= o.patience {
			err = cdc.Failed("%s", what).Of(ErrBookkeeping).Because(errcode.Explain(err)).Keeps("changes wait in Kafka")
		}
		if ctx.Err() != nil || isStop(err) {
			return cmp.Or(ctx.Err(), err)
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

// refusedLogin is an error if ClickHouse refuses user or password and has not accepted them before: a person has to
// change the config. Later a password is being changed, which is waited for.
func (o *outage) refusedLogin(err error) error {
	if !errcode.RefusesLogin(err) || o.loggedIn.Load() {
		return nil
	}
	return cdc.Refused("ClickHouse refuses the login of clickhouse.url").Because(errcode.Of(err)).Keeps("changes wait in Kafka").Fix("check user and password in clickhouse.url")
}

// complain shows a failure in the status and, unless it was said often enough, in the log. The first line of an outage
// says what is safe and what to do.
func (o *outage) complain(message, what string, err error, fields ...zap.Field) {
	explained, first := errcode.Explain(err), o.failed(what, err)
	if !o.mayLog(what, time.Now()) && !first {
		return
	}
	if first {
		message += "; " + partOf(what, err).safe
		if len(cdc.Explain(explained).Try) == 0 {
			message += ". Try: " + partOf(what, err).try
		}
	}
	o.log.Warn(message, append([]zap.Field{zap.String("what", what), zap.String("error", explained.Error())}, fields...)...)
}

// mayLog says whether another line about the step may be logged.
func (o *outage) mayLog(what string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	said := o.logged[what]
	if now.Sub(said.at) >= linesWithin {
		said = spoken{at: now}
	}
	said.lines++
	o.logged[what] = said
	return said.lines <= linesAtOnce
}

// failed notes a failure; first says that it begins an outage of the part.
func (o *outage) failed(what string, err error) (first bool) {
	o.note(what, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	of := partOf(what, err)
	first = !o.warned[of]
	o.warned[of] = true
	return first
}

// note shows a failure in the status.
func (o *outage) note(what string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing[what] = failure{what + ": " + withoutValues(err), time.Now()}
}

// recovered forgets the failure of what was tried.
func (o *outage) recovered(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.failing, what); len(o.failing) == 0 {
		clear(o.warned)
		clear(o.logged)
	}
}

// since says how long ago something failed; 0 if it does not.
func (o *outage) since(what string) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok := o.failing[what]; ok {
		return time.Since(f.at)
	}
	return 0
}

// LastError is the newest failure that still lasts, without row values; "" if there is none. It never blocks
// and is safe for concurrent use.
func (l *Loader) LastError() string {
	l.outage.mu.Lock()
	defer l.outage.mu.Unlock()
	var newest failure
	for _, f := range l.outage.failing {
		if f.at.After(newest.at) {
			newest = f
		}
	}
	return newest.text
}

// part is a server that load needs: what is safe while it is away, and what to do.
type part struct{ safe, try string }

var (
	partClickHouse = part{"changes wait in Kafka, and load goes on by itself", "see that ClickHouse runs and clickhouse.url is right"}
	partRegistry   = part{"changes wait in Kafka, and load goes on by itself", "see that the registry runs and registry.url is right"}
	partKafka      = part{"what is loaded is safe, what is not waits in Kafka or in Postgres' log, and load goes on by itself",
		"look at the brokers named in kafka.brokers"}
)

// partOf gives the server that a step asks, or of those that it asks the one that has failed.
func partOf(what string, err error) part {
	if kafka := (*consume.KafkaError)(nil); errors.As(err, &kafka) {
		return partKafka
	}
	switch what {
	case readRecords, beInGroup, readMetadata, readEnds, readControls:
		return partKafka
	case readSchema:
		return partRegistry
	}
	return partClickHouse
}

// The steps that ask another server than ClickHouse.
const (
	readRecords  = "read from Kafka"
	beInGroup    = "stay in the consumer group"
	readMetadata = "read the topics' metadata"
	readEnds     = "read the topics' ends"
	readSchema   = "read a schema from the registry"
)

// withoutValues is the text of an error without ClickHouse's own message, which may quote a row's value.
func withoutValues(err error) string { return errcode.Explain(err).Error() }
