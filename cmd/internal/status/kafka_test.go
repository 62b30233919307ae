package status

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cmd/internal/console"
)

// TestACaptureThatWaitsForKafkaMayRun: it is not connected to Postgres then, so that it is not known.
func TestACaptureThatWaitsForKafkaMayRun(t *testing.T) {
	idle := func(context.Context) (Status, error) {
		return assemble(facts{slot: slotFacts{name: "s", found: true, retained: 1024}}, capture.Status{Phase: cdc.PhaseStreaming}), nil
	}
	away := func(context.Context) error { return errors.New("EOF") }
	s, err := NewCollector(Sources{Kafka: away}).withKafka(t.Context(), idle)
	require.NoError(t, err)
	require.Equal(t, []cdc.Remedy{{Command: "look at the brokers named in kafka.brokers first"}}, s.capture.Try)
	require.Contains(t, s.capture.What, "slot s is inactive")
	s, err = NewCollector(Sources{}).withKafka(t.Context(), idle)
	require.NoError(t, err)
	require.Len(t, s.capture.Try, 2, "run, or capture")
	strangers := func(context.Context) error { return cdc.Failed("a member is no loader").Fix("stop that client") }
	s, err = NewCollector(Sources{Kafka: func(context.Context) error { return nil }, Strangers: strangers}).withKafka(t.Context(), idle)
	require.NoError(t, err)
	require.Equal(t, "a member is no loader. Try: stop that client", s.Strangers)
	require.Contains(t, s.Problems(), s.strangers)
	gone := cdc.Failed("slot s is gone")
	s, err = NewCollector(Sources{Kafka: away}).withKafka(t.Context(), func(context.Context) (Status, error) { return Status{capture: gone}, nil })
	require.NoError(t, err)
	require.Equal(t, gone, s.capture)
}

// TestStatusAsksKafka: a broker that hangs, is away or refuses shows in text and JSON, and within kafkaTime.
func TestStatusAsksKafka(t *testing.T) {
	refused := cdc.Refused("log in").Fix("kafka.sasl")
	for name, test := range map[string]struct {
		kafka func(context.Context) error
		what  string // empty if it answers
	}{
		"answers":    {func(context.Context) error { return nil }, ""},
		"not asked":  {nil, ""},
		"away":       {func(context.Context) error { return errors.New("connection\nrefused") }, "Kafka does not answer (connection; refused)"},
		"hangs":      {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "Kafka does not answer (nothing within 3s)"},
		"is deaf":    {func(context.Context) error { <-time.After(time.Minute); return nil }, "Kafka does not answer (nothing within 3s)"},
		"wrong user": {func(context.Context) error { return refused }, refused.What},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer func() { <-time.After(time.Minute) }() // what was given up ends, too
				c, began := NewCollector(Sources{Kafka: test.kafka}), time.Now()
				s, err := c.withKafka(t.Context(), func(context.Context) (Status, error) { <-time.After(time.Second); return sample(), nil })
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(began), kafkaTime)
				require.Len(t, s.Tables, 2)
				var text, json strings.Builder
				require.NoError(t, errors.Join(s.WriteText(&text), console.WriteJSON(&json, s)))
				if test.what == "" {
					require.Nil(t, s.kafka)
					require.Equal(t, sampleJSON, json.String())
					return
				}
				require.Equal(t, test.what, s.kafka.What)
				require.Len(t, s.kafka.Try, 1)
				require.Equal(t, s.kafka, s.Problems()[0])
				require.Contains(t, text.String(), "\n"+s.kafka.What+"\n")
				require.Contains(t, text.String(), "dirtbike explain kafka")
				require.Contains(t, json.String(), `  "kafka": "`+s.kafka.Error()+`",`)
			})
		})
	}
}
