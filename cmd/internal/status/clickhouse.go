package status

import (
	"context"
	"errors"
	"regexp"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/sinks/clickhouse/errcode"
)

// clickHouseTLS names the keys that decide whether a handshake with ClickHouse succeeds.
var clickHouseTLS = cdc.TLSKeys{Address: "clickhouse.url", CA: "clickhouse.tls.ca", Cert: "clickhouse.tls.cert", Use: "clickhouse.tls"}

// ClickHouseLogin gives one error, which is cdc.ErrRefused, for every way in which ClickHouse refuses a login, over
// HTTP or its own protocol, or one of both the other's certificate; nil if err is something else.
func ClickHouseLogin(err error) error {
	if errcode.RefusesLogin(err) { // the server's own text names the user and is dropped
		return cdc.Refused("ClickHouse refuses the login of clickhouse.url").Because(errcode.Of(err)).Fix("check its user and password")
	}
	if way := cdc.TLSWayOut(err, clickHouseTLS); way != "" {
		return cdc.Refused("connect to ClickHouse").Because(ClickHouseAway(err)).Fix("%s", way)
	}
	return nil
}

// handshake is how the native client reports a connection that ended before the server had answered the login.
var handshake = regexp.MustCompile(`handshake: failed to [a-z ]+ (\S+) \(conn_id=[^)]*\): `)

// ClickHouseAway wraps an error without an answer of ClickHouse, in one line and without the client's own terms.
func ClickHouseAway(err error) error { return &awayError{err} }

type awayError struct{ error }

func (e *awayError) Error() string {
	return handshake.ReplaceAllString(console.OneLine(e.error.Error()), "$1 took the connection and ended it before the login was answered: ")
}

func (e *awayError) Unwrap() error { return e.error }

// pingError explains the outcome of a ping; nil for nil.
func pingError(err error) error {
	if login := ClickHouseLogin(err); err == nil || login != nil {
		return login
	}
	return ClickHouseAway(err)
}

// Within gives up a call of ClickHouse's client when ctx ends: the client itself may stay in a read of a server that
// hangs. The call does not get the deadline, since the client would report that as the server's failure; it is
// cancelled when Within returns and may end later, so that it must not share state with the caller.
func Within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		value, err := call(calling)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Answers is Within for a ping.
func Answers(ctx context.Context, ping func(context.Context) error) error {
	_, err := Within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, ping(ctx) })
	return err
}

// hangs says that a server took the request but did not answer until the deadline; began is when it was sent.
func hangs(part, url string, began time.Time) *cdc.Problem {
	return cdc.Failed("%s hangs: nothing within %s", part, time.Since(began).Round(100*time.Millisecond)).Of(cdc.ErrUnreachable).
		Fix("see that %s runs and %s is right", part, url)
}

// kafkaTime is how long Kafka may take: a broker that hangs accepts connections and says nothing.
const kafkaTime = 3 * time.Second

// wholeTime is how long the servers may take to answer Whole.
const wholeTime = 10 * time.Second

// Whole is Status, what leaves Postgres, and whether Kafka answers. With an error, which says which part could not be
// asked, the Status has what the others say.
func (c *Collector) Whole(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	return c.withKafka(ctx, func(ctx context.Context) (Status, error) {
		f, err := c.read(ctx)
		if err != nil {
			return c.partial(ctx, f), err
		}
		return c.explained(ctx, c.status(f)), nil
	})
}

// withKafka asks Kafka while ask asks the others. A capture that waits for Kafka has no connection to Postgres.
func (c *Collector) withKafka(ctx context.Context, ask func(context.Context) (Status, error)) (Status, error) {
	away, leaving := make(chan [2]*cdc.Problem, 1), make(chan struct{})
	go func() { away <- c.askKafka(ctx) }()
	go func() { defer close(leaving); c.leaving(ctx) }() // the answer is kept: another server may use the time up
	s, err := ask(ctx)
	said := <-away // askKafka ends with its time
	<-leaving
	if s.kafka, s.strangers = said[0], said[1]; s.strangers != nil {
		s.Strangers = s.strangers.Error()
	}
	s = c.withPrivacy(ctx, s)
	if s.kafka == nil {
		return s, err
	}
	if s.RetainedWALBytes != nil && s.kafka.Safe != "" {
		s.kafka.Safe = "Postgres keeps the log for the slot, " + s.kafka.Safe
	}
	s.Kafka = s.kafka.Error()
	if s.inactive != "" {
		s.capture = cdc.Failed("no capture streams; one that runs waits for Kafka (%s)", s.inactive).Fix("look at the brokers named in kafka.brokers first")
	}
	return s, err
}

// askKafka gives the problem of Kafka, nil if it answers, and that of strangers in the loaders' group.
func (c *Collector) askKafka(ctx context.Context) (said [2]*cdc.Problem) {
	if said[0] = c.pingKafka(ctx); said[0] == nil && c.Strangers != nil {
		said[1] = cdc.Explain(c.Strangers(ctx))
	}
	return said
}

// pingKafka gives the problem of Kafka; nil if it answers.
func (c *Collector) pingKafka(ctx context.Context) *cdc.Problem {
	if c.Kafka == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaTime)
	defer cancel()
	err := Answers(ctx, c.Kafka)
	why := cdc.Explain(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cdc.ErrRefused):
		return why
	case ctx.Err() != nil:
		why = cdc.Failed("nothing within %s", kafkaTime)
	}
	return cdc.Failed("Kafka does not answer (%s)", why.What).
		Keeps("what is in Kafka and ClickHouse is safe, and nothing new arrives").
		Fix("look at the brokers named in kafka.brokers; capture and load go on by themselves")
}
