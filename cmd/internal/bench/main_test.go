package bench

import (
	"testing"

	"dirtbike/docker/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func small() Options {
	return Options{Pairs: 1, Rows: 20_000, Tries: 1, Rate: 100, For: 1e9, Kafka: "kfake"}
}
