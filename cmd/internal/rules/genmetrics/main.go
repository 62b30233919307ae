// Command genmetrics writes the table of all metrics into ARCHITECTURE.md. It is run by `go generate ./cmd/internal/rules`, in
// the folder of that package.
package main

import (
	"fmt"
	"os"
	"strings"

	"dirtbike/cmd/internal/rules/section"
)

const name = "metrics"

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the table of metrics:", err)
		os.Exit(1)
	}
}

func write() error {
	all, err := metrics()
	if err != nil {
		return err
	}
	return section.Write(section.Architecture, name, markdown(all))
}

// markdown is one line a metric.
func markdown(all []metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	return b.String()
}
