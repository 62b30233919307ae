package pipeline

import (
	"crypto/rand"

	"go.uber.org/zap"

	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cdc/privacy"
	"dirtbike/config"
	"dirtbike/schemas"
	"dirtbike/sinks/kafka"
)

// Trial is the capture leg in its parts, to check whether it would start: it is wired as NewCapture does it, but makes
// no hash key. It writes nothing anywhere as long as only Source's readers, Tables, Sink.Peek, Sink.Inspect and
// Capture.WouldStart are called.
type Trial struct {
	Source  *postgres.Source
	Tables  *catalog.Tables
	Sink    *kafka.Sink
	Capture *capture.Capture
	// Policies are what a start would apply.
	Policies schemas.Policies
	// Keyless says that the hash key's file is missing, and the key replaced: a stored state cannot be checked.
	Keyless bool
}

// NewTrial wires a trial; nothing is connected yet. registry gets every schema that a start would register.
func NewTrial(c *config.Config, registry schemas.Registry) (*Trial, error) {
	policies, prints, err := trialPolicies(c)
	if err != nil {
		return nil, err
	}
	o := Options{Config: c, Log: zap.NewNop()}
	sink, err := newSink(o)
	if err != nil {
		return nil, err
	}
	t := &Trial{
		Source: newSource(o, MonitorLogin(c)), Tables: catalog.New(tableOptions(c, MonitorLogin(c), policies, registry)), Sink: sink,
		Policies: policies, Keyless: c.HashKeyMissing(),
	}
	t.Capture = capture.NewCapture(captureOptions(c, t.Source, t.Sink, t.Tables, prints))
	return t, nil
}

// trialPolicies makes no key: one that is missing is replaced by one for this process.
func trialPolicies(c *config.Config) (schemas.Policies, map[string]string, error) {
	if !c.HashKeyMissing() {
		return ExistingPolicies(c)
	}
	const least = 32
	key := make([]byte, least)
	rand.Read(key) // it never returns an error
	return privacy.New(rules{c}, privacy.HashKeys{ID: "k1", Key: key}), nil, nil
}
