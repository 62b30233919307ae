// Command gentypes writes the type table of package schemas into ARCHITECTURE.md. It is run by
// `go generate ./cmd/internal/rules`, in the folder of that package.
package main

import (
	"fmt"
	"os"

	"dirtbike/cmd/internal/rules/section"
	"dirtbike/schemas"
)

const name = "types"

func main() {
	if err := section.Write(section.Architecture, name, schemas.TypeTableMarkdown()); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the type table:", err)
		os.Exit(1)
	}
}
