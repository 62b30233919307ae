package pipeline

import (
	"fmt"
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"dirtbike/cdc"
	"dirtbike/config"
)

// Reloads counts how often the config was read again, and whether it was taken over.
type Reloads struct{ Applied, Refused prometheus.Counter }

// NewReloads makes the counters and registers them.
func NewReloads(r prometheus.Registerer) Reloads {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "dirtbike", Subsystem: "config", Name: name, Help: help})
	}
	all := Reloads{
		Applied: counter("reloads_total", "Configs that were read again (SIGHUP) and taken over."),
		Refused: counter("reloads_refused_total", "Configs that were read again and not taken over, so that everything went on as before; the log says why."),
	}
	r.MustRegister(all.Applied, all.Refused)
	return all
}

// CheckRotation refuses a config that has more than other credentials: only a restart checks it. No value is named.
func CheckRotation(c, next *config.Config) error {
	if keys := c.Fixed(next); len(keys) > 0 {
		more := ""
		if len(keys) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(keys)-1)
		}
		return cdc.Failed("%s: %s%s has changed, and a running process takes over credentials and TLS only", next.Path(), keys[0], more).
			Fix("restart dirtbike, or set it back")
	}
	_, was, err := ExistingPolicies(c)
	if err == nil {
		var is map[string]string
		if _, is, err = ExistingPolicies(next); err == nil && !maps.Equal(was, is) {
			err = cdc.Failed("the hash key is another one: every hash would change").Fix("restore it")
		}
	}
	return err
}
