package main

import (
	"os"
	"runtime/debug"

	"dirtbike/config"
)

// boundMemory sets how much memory the process may hold, so that garbage is collected before it doubles what is in
// use. Most of it is the loader's; the rest is for chunks on their way to Kafka. GOMEMLIMIT overrides it.
func boundMemory(c *config.Config) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(int64(c.ClickHouse.Load.Memory)/8*5 + 64_000_000)
}
