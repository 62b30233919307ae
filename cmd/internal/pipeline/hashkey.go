package pipeline

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/config"

	"go.uber.org/zap"
)

// checkFingerprints refuses a hash key that is not the one that capture wrote the topics with: every token would look
// different.
func checkFingerprints(c *config.Config, prints map[string]string, state *cdc.State) error {
	if state == nil {
		return nil
	}
	for id, print := range prints {
		if was, known := state.Source.HashKeys[id]; known && was != print {
			try := "set the former one in privacy.hash.keys"
			if len(c.Privacy.Hash.Keys) == 0 {
				try = "copy " + c.HashKeyFile() + " from where capture runs"
			}
			return cdc.Refused("hash key %s is not the one the topics were written with (fingerprint %s, here %s): nothing was compared", id, was, print).
				Fix("%s", try)
		}
	}
	return nil
}

// hashKeyTime bounds reading the stored state.
const hashKeyTime = 5 * time.Second

// keepHashKey refuses to make a key where the topics were written with another one, which is lost or lies elsewhere.
func keepHashKey(c *config.Config) error {
	if !c.HashKeyMissing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), hashKeyTime)
	defer cancel()
	stored, err := storedFingerprints(ctx, c)
	if err != nil {
		return cdc.Failed("no hash key %s, and whether the topics were written with one cannot be seen", c.HashKeyFile()).Of(cdc.ErrUnreachable).Because(err).
			Keeps("Nothing was changed").Fix("see that Kafka runs and kafka.brokers is right")
	}
	if len(stored) == 0 {
		return nil
	}
	return cdc.Refused("hash key %s is missing, and the topics were written with one; another key would give other hashes", c.HashKeyFile()).
		Keeps("Nothing was changed").Fix("put the file back from your backup, or where it is lost, dirtbike resnapshot --all, which makes a new one")
}

// storedFingerprints gives the fingerprints, by key id, that the stored state has. None where no capture has begun.
func storedFingerprints(ctx context.Context, c *config.Config) (map[string]string, error) {
	sink, err := newSink(Options{Config: c, Log: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	state, err := sink.Peek(ctx)
	if err != nil || state == nil {
		return nil, err
	}
	return state.Source.HashKeys, nil
}
