package pipeline

import (
	"context"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"

	"go.uber.org/zap"
)

// printsTime is how long Kafka may take to say which hash keys the topics were written with.
const printsTime = 5 * time.Second

// checkPrints refuses a hash key that is not the one that capture wrote the topics with: every token would look different. A Kafka
// that does not say so in time costs only the check, since whoever compares needs no Kafka else.
func checkPrints(ctx context.Context, c *config.Config, log *zap.Logger, prints map[string]string) error {
	if len(prints) == 0 {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, printsTime)
	defer cancel()
	stored, err := writtenPrints(asking, c)
	if err != nil {
		log.Warn("could not read from Kafka's state topic which hash key the topics were written with: if it is another one, every hashed column looks different. Try: look at the brokers named in kafka.brokers, and at the right to read the topic",
			zap.String("topic", schemas.StateTopic(c.Kafka.Prefix)), zap.Error(err))
		return nil
	}
	return comparePrints(c, prints, stored)
}

func comparePrints(c *config.Config, prints, stored map[string]string) error {
	for id, print := range prints {
		if was, known := stored[id]; known && was != print {
			try := "set the former one in privacy.hash.keys"
			if len(c.Privacy.Hash.Keys) == 0 {
				try = "copy " + c.HashKeyFile() + " from where capture runs"
			}
			return fmt.Errorf("%w: hash key %s is not the one the topics were written with (fingerprint %s, here %s): nothing was compared. Try: %s", cdc.ErrRefused, id, was, print, try)
		}
	}
	return nil
}

// keepHashKey refuses to make a key where the topics were written with another one, which is lost or lies elsewhere.
func keepHashKey(c *config.Config) error {
	if !c.HashKeyMissing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), printsTime)
	defer cancel()
	stored, err := writtenPrints(ctx, c)
	if err != nil {
		return fmt.Errorf("%w: no hash key %s, and whether the topics were written with one cannot be seen: %w. Nothing was changed. Try: see that Kafka runs and kafka.brokers is right", cdc.ErrUnreachable, c.HashKeyFile(), err)
	}
	if len(stored) == 0 {
		return nil
	}
	return fmt.Errorf("%w: hash key %s is missing, and the topics were written with one; another key would give other hashes. Nothing was changed. Try: put the file back from your backup, or where it is lost, dirtbike resnapshot --all, which makes a new one", cdc.ErrRefused, c.HashKeyFile())
}

// writtenPrints gives the fingerprints, by key id, that the stored state has. None where no capture has begun.
func writtenPrints(ctx context.Context, c *config.Config) (map[string]string, error) {
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
