package config

import (
	"fmt"
	"io"
)

const hidden = "***"

// Secret is a text that never prints: every way of formatting or marshalling it writes "***". The zero value is the
// empty secret. The text is held by a pointer, so that printing a struct that holds a Secret in an unexported field
// cannot show it either.
type Secret struct{ text *string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text itself, for handing it to a driver. Never log or wrap the result in an error.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns "***".
func (Secret) String() string { return hidden }

// Format writes "***" for every verb, %#v included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "***"; JSON, YAML, zap and slog use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
