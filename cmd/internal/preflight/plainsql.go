package preflight

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainSQL writes quoted identifiers that a terminal would not show as they are in Postgres' form U&"…", so that the
// statement can be printed and run. It is false if something else cannot be printed; lines are no part of that.
func plainSQL(sql string) (plain string, ok bool) {
	var out strings.Builder
	for i := 0; i < len(sql); {
		quote := sql[i]
		if quote != '"' && quote != '\'' {
			r, size := utf8.DecodeRuneInString(sql[i:])
			if r != '\n' && !printable(sql[i:i+size]) {
				return "", false
			}
			out.WriteString(sql[i : i+size])
			i += size
			continue
		}
		length := quotedLength(sql[i:], quote)
		if length == 0 {
			return "", false
		}
		text := sql[i : i+length]
		switch {
		case printable(text):
			out.WriteString(text)
		case quote == '"' && utf8.ValidString(text):
			out.WriteString(`U&` + escaped(text))
		default:
			return "", false
		}
		i += length
	}
	return out.String(), true
}

// quotedLength is how long the quoted text is that s begins with; a doubled quote is part of it. 0 if it does not end.
func quotedLength(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 == len(s) || s[i+1] != quote {
			return i + 1
		}
		i++
	}
	return 0
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

// printable reports whether a terminal shows the text as it is, in one line.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
