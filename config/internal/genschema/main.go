// Command genschema writes dirtbike.schema.json, for editors, and REFERENCE.md, for people, from the fields of package
// config: their doc comments and tags. It is run by `go generate ./config`, in the folder of that package.
package main

import (
	"fmt"
	"os"
)

// The files written, in the current folder.
const (
	schemaFile    = "dirtbike.schema.json"
	referenceFile = "REFERENCE.md"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "Error: generate the schema and the reference of the config:", err)
		os.Exit(1)
	}
}

func generate() error {
	schema, err := buildSchema(".")
	if err != nil {
		return err
	}
	text, err := schemaJSON(schema)
	if err != nil {
		return err
	}
	if err := os.WriteFile(schemaFile, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(referenceFile, referenceMarkdown(schema), 0o644)
}
