package pipeline

import (
	"crypto/rand"

	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cdc/privacy"
	"dirtbike/config"
	"dirtbike/schemas"
	"dirtbike/sinks/kafka"

	"go.uber.org/zap"
)

// Trial is the capture leg taken apart, for checks whether it would start: it is wired as NewCapture does it, but makes
// no hash key. Nothing of it writes anywhere as long as only Source's readers, Tables, Sink.Peek, Sink.Inspect and
// Capture.WouldStart are called.
type Trial struct {
	Source  *postgres.Source
	Tables  *catalog.Tables
	Sink    *kafka.Sink
	Capture *capture.Capture
	// Policies are what a start would apply.
	Policies schemas.Policies
	// Keyless says that a column is hashed and the key's file is not there yet: the policies have a key of their own
	// that nobody else has, so that nothing can be said of a stored state.
	Keyless bool
}

// NewTrial wires a trial; nothing is connected yet. registry gets every schema that a start would register.
func NewTrial(c *config.Config, registry schemas.Registry) (*Trial, error) {
	t := &Trial{Keyless: c.HashKeyMissing()}
	policies, prints, err := t.policies(c)
	if err != nil {
		return nil, err
	}
	o := Options{Config: c, Log: zap.NewNop()}
	if t.Sink, err = newSink(o); err != nil {
		return nil, err
	}
	t.Source, t.Tables, t.Policies = newSource(o, MonitorLogin(c)), catalog.New(tableOptions(c, MonitorLogin(c), policies, registry)), policies
	t.Capture = capture.NewCapture(captureOptions(c, t.Source, t.Sink, t.Tables, prints))
	return t, nil
}

func (t *Trial) policies(c *config.Config) (schemas.Policies, map[string]string, error) {
	if !t.Keyless {
		return ExistingPolicies(c)
	}
	const least = 32
	key := make([]byte, least)
	rand.Read(key) // it never returns an error
	return privacy.New(rules{c}, privacy.HashKeys{ID: "k1", Key: key}), nil, nil
}
