// Package console writes text for terminals: as wide as there is room for, and without bytes that a terminal might
// obey.
package console

import (
	"encoding/json"
	"io"
)

// WriteJSON writes a value in a form that people can read, too.
func WriteJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
