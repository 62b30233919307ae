// Command genmetrics writes METRICS.md: the table of all metrics. It is run by `go generate ./cmd/internal/endpoints`,
// in the folder of that package.
package main

import (
	"fmt"
	"os"
	"strings"
)

// page is the file's path from the folder of package endpoints.
const page = "METRICS.md"

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the page of metrics:", err)
		os.Exit(1)
	}
}

func write() error {
	all, err := metrics()
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(markdown(all)), 0o644)
}

// markdown has one line for each metric.
func markdown(all []metric) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\nWritten by `go generate ./cmd/internal/endpoints` from what the program registers: do not edit it by hand. " +
		"What `/metrics` answers, besides Go's own metrics; everything is in base units. `dirtbike_capture_` and `dirtbike_kafka_` come from " +
		"capture, `dirtbike_load_` from each loader; the others are asked of Postgres and ClickHouse at each scrape.\n\n" +
		"| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	return b.String()
}
