// Command genmetrics writes the table of all metrics into ARCHITECTURE.md, between its two marks. It is run by
// `go generate ./cmd/internal/rules`, in the folder of that package.
package main

import (
	"fmt"
	"os"
	"strings"
)

// The page, as seen from the folder of package rules, and the lines between which the table stands.
const (
	page  = "../../../ARCHITECTURE.md"
	begin = "<!-- metrics:begin -->\n"
	end   = "<!-- metrics:end -->\n"
)

func main() {
	if err := generate(page); err != nil {
		fmt.Fprintln(os.Stderr, "Error: write the table of metrics:", err)
		os.Exit(1)
	}
}

// generate puts the table into the file at path; a file that is current is not written.
func generate(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	all, err := metrics()
	if err != nil {
		return err
	}
	next, err := replace(string(text), markdown(all))
	if err != nil || next == string(text) {
		return err
	}
	return os.WriteFile(path, []byte(next), 0o644)
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

// replace puts table between the marks of text, each of which must stand there once, in order.
func replace(text, table string) (string, error) {
	if strings.Count(text, begin) != 1 || strings.Count(text, end) != 1 {
		return "", fmt.Errorf("the marks %s and %s must each stand once", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	before, rest, _ := strings.Cut(text, begin)
	_, after, ordered := strings.Cut(rest, end)
	if !ordered {
		return "", fmt.Errorf("the mark %s stands before %s", strings.TrimSpace(end), strings.TrimSpace(begin))
	}
	return before + begin + table + end + after, nil
}
