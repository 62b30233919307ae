package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrap(t *testing.T) {
	const url = "postgres://postgres@127.0.0.1:40001/clinic?sslmode=disable"
	for _, c := range []struct {
		text, first, next string
		width             int
		want              []string
	}{
		{"a b", "", "", 3, []string{"a b"}},
		{"one two three four", "", "  ", 9, []string{"one two", "  three", "  four"}},
		{"one two three", "NOTE ", "  ", 12, []string{"NOTE one two", "  three"}},
		{"see " + url, "  ", "  ", 20, []string{"  see", "  " + url}},       // a URL stays whole
		{"\x1b[32m✓\x1b[0m ab", "", "", 4, []string{"\x1b[32m✓\x1b[0m ab"}}, // colours take no room
		{"", "  ", "", 1, []string{""}},
	} {
		require.Equal(t, c.want, Wrap(c.text, c.first, c.next, c.width), c.text)
	}
}
