package status

import (
	"context"
	"errors"
	"time"

	"dirtbike/cdc"
)

// kafkaTime is how long Kafka may take: a broker that hangs accepts connections and says nothing.
const kafkaTime = 3 * time.Second

// Whole is Status, and whether Kafka answers.
func (c *Collector) Whole(ctx context.Context) (Status, error) { return c.withKafka(ctx, c.Status) }

// withKafka asks Kafka while ask asks the others. A capture that waits for Kafka has no connection to Postgres.
func (c *Collector) withKafka(ctx context.Context, ask func(context.Context) (Status, error)) (Status, error) {
	away := make(chan *cdc.Problem, 1)
	go func() { away <- c.askKafka(ctx) }()
	s, err := ask(ctx)
	if s.kafka = <-away; s.kafka == nil { // askKafka ends with its time
		return s, err
	}
	s.Kafka = s.kafka.Error()
	if s.inactive != "" {
		s.capture = cdc.Failed("no capture streams; one that runs waits for Kafka (%s)", s.inactive).Fix("look at the brokers named in kafka.brokers first")
	}
	return s, err
}

// askKafka gives the problem of Kafka; nil if it answers.
func (c *Collector) askKafka(ctx context.Context) *cdc.Problem {
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
		Keeps("Postgres keeps the log for the slot, what is in Kafka and ClickHouse is safe, and nothing new comes").
		Fix("look at the brokers named in kafka.brokers; capture and load go on by themselves")
}
