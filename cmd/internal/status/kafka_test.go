package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// TestACaptureThatWaitsForKafkaMayRun: it is not connected to Postgres then, so that nobody can tell.
func TestACaptureThatWaitsForKafkaMayRun(t *testing.T) {
	idle := func(context.Context) (Status, error) {
		f := slotFacts{name: "s", found: true, retained: 1024}
		s := Status{Phase: "streaming"}
		s.dead, s.try = f.dead(s.Phase, 1)
		return s, nil
	}
	hangs := func(context.Context) error { return errors.New("EOF") }
	s, err := NewCollector(Sources{Kafka: hangs}).besideKafka(t.Context(), idle)
	require.NoError(t, err)
	require.EqualError(t, s.Dead(), "no capture streams; one that runs waits for Kafka (slot s is inactive, Postgres keeps 1.0 KiB of log for it). Try: look at the brokers named in kafka.brokers first")
	s, err = NewCollector(Sources{}).besideKafka(t.Context(), idle)
	require.NoError(t, err)
	require.EqualError(t, s.Dead(), "no capture is running (slot s is inactive, Postgres keeps 1.0 KiB of log for it). Try: dirtbike run, or dirtbike capture")
	lost := func(context.Context) (Status, error) { return Status{dead: "slot s is gone", try: "x"}, nil }
	s, err = NewCollector(Sources{Kafka: hangs}).besideKafka(t.Context(), lost)
	require.NoError(t, err)
	require.EqualError(t, s.Dead(), "slot s is gone. Try: x")
}

// TestStatusAsksKafka: a broker that hangs, is away or refuses shows in text and JSON, and within kafkaTime.
func TestStatusAsksKafka(t *testing.T) {
	const safe = ": Postgres keeps the log for the slot, what is in Kafka and ClickHouse is safe, and nothing new comes. Try: look at the brokers named in kafka.brokers; capture and load go on by themselves"
	for name, test := range map[string]struct {
		kafka func(context.Context) error
		line  string
	}{
		"answers":    {func(context.Context) error { return nil }, ""},
		"not asked":  {nil, ""},
		"away":       {func(context.Context) error { return errors.New("connection\nrefused") }, "Kafka does not answer (connection refused)" + safe},
		"hangs":      {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "Kafka does not answer (nothing within 3s)" + safe},
		"is deaf":    {func(context.Context) error { <-time.After(time.Minute); return nil }, "Kafka does not answer (nothing within 3s)" + safe},
		"wrong user": {func(context.Context) error { return fmt.Errorf("%w: log in. Try: kafka.sasl", cdc.ErrRefused) }, cdc.ErrRefused.Error() + ": log in. Try: kafka.sasl"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer func() { <-time.After(time.Minute) }() // what was given up ends, too
				c, began := NewCollector(Sources{Kafka: test.kafka}), time.Now()
				s, err := c.besideKafka(t.Context(), func(context.Context) (Status, error) { <-time.After(time.Second); return sample(), nil })
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(began), kafkaTime)
				require.Equal(t, test.line, s.Kafka)
				require.Len(t, s.Tables, 2)
				var text, json strings.Builder
				require.NoError(t, errors.Join(s.WriteText(&text), s.WriteJSON(&json)))
				if test.line == "" {
					require.NoError(t, s.KafkaAway())
					require.Equal(t, sampleJSON, json.String())
					return
				}
				require.EqualError(t, s.KafkaAway(), test.line)
				require.Contains(t, text.String(), "\n"+test.line+"\n")
				require.Contains(t, text.String(), "dirtbike explain kafka")
				require.Contains(t, json.String(), `  "kafka": "`+test.line+`",`)
			})
		})
	}
}
