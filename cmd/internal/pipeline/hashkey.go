package pipeline

import (
	"context"

	"dirtbike/cdc"
	"dirtbike/config"
)

// checkFingerprints refuses a hash key other than the one of the topics: every token would be different.
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

// keepHashKey refuses to make a key if the topics were written with another one, which is lost or in another place.
func keepHashKey(c *config.Config) error {
	if !c.HashKeyMissing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), historyTime)
	defer cancel()
	state, err := peek(ctx, c)
	switch {
	case err != nil:
		return cdc.Failed("no hash key %s, and whether the topics were written with one cannot be seen", c.HashKeyFile()).Of(cdc.ErrUnreachable).Because(err).
			Keeps("Nothing was changed").Fix("see that Kafka runs and kafka.brokers is right")
	case state == nil || len(state.Source.HashKeys) == 0:
		return nil
	}
	return cdc.Refused("hash key %s is missing, and the topics were written with one; another key would give other hashes", c.HashKeyFile()).
		Keeps("Nothing was changed").Fix("put the file back from your backup, or where it is lost, dirtbike resnapshot --all, which makes a new one")
}
