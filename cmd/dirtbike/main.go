// Command dirtbike streams a Postgres database through Kafka into ClickHouse.
package main

import (
	"context"
	"os"
)

func main() {
	runChild()
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr, nil))
}
