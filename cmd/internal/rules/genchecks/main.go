// Command genchecks writes what package checks says of every check into README.md, each under a heading whose anchor outputs name.
// It is run by `go generate ./cmd/internal/rules`, in the folder of that package.
package main

import (
	"fmt"
	"os"
	"strings"

	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/rules/section"
)

const name = "checks"

func main() {
	if err := section.Write(section.Readme, name, markdown()); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the section on checks:", err)
		os.Exit(1)
	}
}

// markdown is a part for the checks of /readyz and one for those of `dirtbike check`, if there are any.
func markdown() string {
	var b strings.Builder
	part(&b, "Checks of `/readyz`", checks.Ready)
	part(&b, "Checks of `dirtbike check`", checks.Preflight)
	return b.String()
}

func part(b *strings.Builder, title string, all []checks.Check) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n", title)
	for _, c := range all {
		fmt.Fprintf(b, "\n#### check-%s\n\n%s *Safe:* %s *Do:* %s\n", c.Slug, c.Meaning, c.Safe, c.Do)
	}
	b.WriteString("\n")
}
