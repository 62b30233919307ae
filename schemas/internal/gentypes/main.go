// Command gentypes writes TYPES.md: the type table of package schemas. It is run by `go generate ./schemas`, in the
// folder of that package.
package main

import (
	"fmt"
	"os"
	"strings"

	"dirtbike/schemas"
)

// page is the file's path from the folder of package schemas.
const page = "TYPES.md"

func main() {
	if err := os.WriteFile(page, []byte(markdown()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the page of types:", err)
		os.Exit(1)
	}
}

// markdown has one line for each row of the type table.
func markdown() string {
	var b strings.Builder
	b.WriteString("# Types\n\nWritten by `go generate ./schemas` from `schemas.TypeTable`: do not edit it by hand. " +
		"How each Postgres type travels in Avro and is kept in ClickHouse; *key* says whether a key column may have the type.\n\n" +
		"| Postgres | Avro | ClickHouse | key | not held exactly |\n|---|---|---|---|---|\n")
	for _, r := range schemas.TypeTable {
		key := "no"
		if r.Key {
			key = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Postgres, r.Avro, r.ClickHouse, key, r.Lossy)
	}
	return b.String()
}
