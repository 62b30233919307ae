package preflight

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"dirtbike/cmd/internal/console"
)

// quotedText is a name or a text in SQL; a doubled quote is part of it.
var quotedText = regexp.MustCompile(`"(?:[^"]|"")*"|'(?:[^']|'')*'`)

// plainSQL writes quoted names that a terminal would not show as they are in Postgres' form U&"…", so that the
// statement can be printed and run. It is false if something else cannot be printed; lines are no part of that.
func plainSQL(sql string) (plain string, ok bool) {
	plain = quotedText.ReplaceAllStringFunc(sql, func(text string) string {
		if text[0] == '"' && utf8.ValidString(text) && console.Printable(text) != text {
			return `U&` + escaped(text)
		}
		return text
	})
	if console.PrintableLines(plain) != plain || strings.ContainsAny(quotedText.ReplaceAllString(sql, ""), `"'`) {
		return "", false
	}
	return plain, true
}

// escaped is the text in the escapes of U&"…".
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			out.WriteString(`\\`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\%04X`, r)
		default:
			fmt.Fprintf(&out, `\+%06X`, r)
		}
	}
	return out.String()
}
