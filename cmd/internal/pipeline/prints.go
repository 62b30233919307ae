package pipeline

import (
	"fmt"

	"dirtbike/cdc"
	"dirtbike/config"
)

// comparePrints refuses a hash key that is not the one that capture wrote the topics with: every token would look different.
func comparePrints(c *config.Config, prints map[string]string, state *cdc.State) error {
	if state == nil {
		return nil
	}
	for id, print := range prints {
		if was, known := state.Source.HashKeys[id]; known && was != print {
			try := "set the former one in privacy.hash.keys"
			if len(c.Privacy.Hash.Keys) == 0 {
				try = "copy " + c.HashKeyFile() + " from where capture runs"
			}
			return fmt.Errorf("%w: hash key %s is not the one the topics were written with (fingerprint %s, here %s): nothing was compared. Try: %s", cdc.ErrRefused, id, was, print, try)
		}
	}
	return nil
}
