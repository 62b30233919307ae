package pipeline

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/sinks/kafka"
)

// KafkaClient gives the options that every Kafka client of the pipeline has in common.
func KafkaClient(c *config.Config) ([]kgo.Opt, error) {
	k := c.Kafka
	opts := []kgo.Opt{kgo.SeedBrokers(k.Brokers...), kgo.ClientID("dirtbike")}
	tls, err := k.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	if tls != nil {
		opts = append(opts, kgo.DialTLSConfig(tls))
	}
	if k.SASL != nil {
		opts = append(opts, kgo.SASL(mechanism(k.SASL)))
	}
	return opts, nil
}

// NewKafka makes a client; it connects at its first use.
func NewKafka(c *config.Config, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := KafkaClient(c)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

// KafkaError turns errors that another try cannot fix into refusals with what to do; others stay as they are.
func KafkaError(err error) error {
	way := cdc.TLSWayOut(err, kafka.TLS)
	for _, refusal := range []error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState} {
		if errors.Is(err, refusal) {
			way = "check mechanism, user and password under kafka.sasl, and the brokers' listener"
		}
	}
	if way == "" {
		return err
	}
	return cdc.Refused("log in to Kafka").Because(err).Fix("%s", way)
}

func mechanism(s *config.SASL) sasl.Mechanism {
	login := scram.Auth{User: s.User, Pass: s.Password.Reveal()}
	switch s.Mechanism {
	case config.MechanismScramSHA256:
		return login.AsSha256Mechanism()
	case config.MechanismScramSHA512:
		return login.AsSha512Mechanism()
	case config.MechanismPlain:
	}
	return plain.Auth{User: s.User, Pass: s.Password.Reveal()}.AsMechanism()
}
