package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dirtbike/cdc"
)

// kafkaTime is how long Kafka may take to answer one who asks for the status: a broker that hangs takes connections and says nothing.
const kafkaTime = 3 * time.Second

// Whole is Status, and whether Kafka answers.
func (c *Collector) Whole(ctx context.Context) (Status, error) { return c.besideKafka(ctx, c.Status) }

// besideKafka asks Kafka while ask asks the others.
func (c *Collector) besideKafka(ctx context.Context, ask func(context.Context) (Status, error)) (Status, error) {
	away := make(chan string, 1)
	go func() { away <- c.askKafka(ctx) }()
	s, err := ask(ctx)
	if s.Kafka = <-away; s.Kafka != "" { // askKafka ends with its time
		s = s.unseen()
	}
	return s, err
}

// unseen takes back that no capture runs: one that waits for Kafka is not connected to Postgres.
func (s Status) unseen() Status {
	if rest, idle := strings.CutPrefix(s.dead, nobodyRuns); idle {
		s.dead, s.try = "no capture streams; one that runs waits for Kafka"+rest, "look at the brokers named in kafka.brokers first"
	}
	return s
}

// askKafka says in one line, with what is safe and what to do, what is wrong with Kafka; "" if it answers.
func (c *Collector) askKafka(ctx context.Context) string {
	if c.Kafka == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaTime)
	defer cancel()
	_, err := Within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Kafka(ctx) })
	switch {
	case err == nil:
		return ""
	case errors.Is(err, cdc.ErrRefused):
		return OneLine(err.Error())
	case ctx.Err() != nil:
		err = fmt.Errorf("nothing within %s", kafkaTime)
	}
	return "Kafka does not answer (" + withoutTry(err.Error()) + "): Postgres keeps the log for the slot, what is in Kafka and ClickHouse is safe, and nothing new comes. Try: look at the brokers named in kafka.brokers; capture and load go on by themselves"
}

// KafkaAway is nil if Kafka answers; otherwise its error says what is safe, and what to do.
func (s Status) KafkaAway() error {
	if s.Kafka == "" {
		return nil
	}
	return errors.New(s.Kafka)
}
