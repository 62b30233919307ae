package cdc

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// plainWord needs no quoting in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./][A-Za-z0-9_@%+=:,./-]*$`)

// ShellWord quotes a name for a shell, if it needs that; one that a terminal would not show gets bash's own form. It
// is for the commands of ways out, which are copied as they are.
func ShellWord(name string) string {
	switch {
	case plainWord.MatchString(name):
		return name
	case !strings.ContainsFunc(name, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }):
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == '\'' || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
