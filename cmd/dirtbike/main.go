// Command dirtbike streams a Postgres database through Kafka into ClickHouse.
package main

import (
	"context"
	"os"

	"dirtbike/docker/embedded"
)

func main() {
	embedded.RunChild()
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr, nil))
}
