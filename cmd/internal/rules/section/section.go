// Package section keeps the generated parts of ARCHITECTURE.md and README.md current. Each stands between a begin and an end mark of its name.
package section

import (
	"fmt"
	"os"
	"strings"
)

// The pages, as seen from the folder of package rules, where the generators are run.
const (
	Architecture = "../../../ARCHITECTURE.md"
	Readme       = "../../../README.md"
)

// Write puts text between the marks of name in page; one that is current is not written.
func Write(page, name, text string) error {
	was, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	next, err := Replace(string(was), name, text)
	if err != nil || next == string(was) {
		return err
	}
	return os.WriteFile(page, []byte(next), 0o644)
}

// Replace puts text between the marks of name in page. Each mark must stand there once, in order.
func Replace(page, name, text string) (string, error) {
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->\n"
	if strings.Count(page, begin) != 1 || strings.Count(page, end) != 1 {
		return "", fmt.Errorf("the marks %s and %s must each stand once", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	before, rest, _ := strings.Cut(page, begin)
	_, after, ordered := strings.Cut(rest, end)
	if !ordered {
		return "", fmt.Errorf("the mark %s stands before %s", strings.TrimSpace(end), strings.TrimSpace(begin))
	}
	return before + begin + text + end + after, nil
}
