// Package section keeps the generated parts of ARCHITECTURE.md current. Each stands between a begin and an end mark of its name.
package section

import (
	"fmt"
	"os"
	"strings"
)

// Page is the file, as seen from the folder of package rules, where the generators are run.
const Page = "../../../ARCHITECTURE.md"

// Write puts text between the marks of name in Page; a page that is current is not written.
func Write(name, text string) error {
	page, err := os.ReadFile(Page)
	if err != nil {
		return err
	}
	next, err := Replace(string(page), name, text)
	if err != nil || next == string(page) {
		return err
	}
	return os.WriteFile(Page, []byte(next), 0o644)
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
