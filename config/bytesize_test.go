package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]config.ByteSize{
		"16777216": 16 << 20, `"16MB"`: 16_000_000, "16MiB": 16 << 20, "16 MB": 16_000_000, "1gb": 1_000_000_000, "0.5MiB": 1 << 19,
	} {
		cfg := parse(t, with(""))
		require.Equal(t, config.ByteSize(16_000_000), cfg.Kafka.MaxMessageBytes)
		cfg = parse(t, kafkaWith("max_transaction: 2GB, max_message_bytes: "+text))
		require.Equal(t, want, cfg.Kafka.MaxMessageBytes, text)
	}
	for _, text := range []string{"-1", "MB", "16XB", "1e3", "99999999999999EB", `"-16MB"`, "63999"} {
		_, err := config.Parse("a.yaml", []byte(kafkaWith("max_message_bytes: "+text)))
		requireKey(t, err, "kafka.max_message_bytes")
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "1500ms": 1500 * time.Millisecond, "0d2s": 2 * time.Second,
	} {
		require.Equal(t, want, parse(t, kafkaWith("replay_horizon: "+text)).Kafka.ReplayHorizon, text)
	}
	for _, text := range []string{"7", "d", "-1d", "1d-1h", "1.5d", "7days", "0s", "999999d", "1h1d", `"60"`} {
		_, err := config.Parse("a.yaml", []byte(kafkaWith("replay_horizon: "+text)))
		requireKey(t, err, "kafka.replay_horizon")
	}
}

func kafkaWith(settings string) string {
	return "source: {url: \"postgres://u@h/d\"}\nkafka: {brokers: [\"k:9092\"], " + settings + "}\nregistry: {url: \"http://r:8081\"}\n" +
		"clickhouse: {url: \"clickhouse://c:9000\"}\n"
}
