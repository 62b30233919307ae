package ops

import "errors"

// ErrRefused says that a server answered, and would not: a password or a right is missing.
var ErrRefused = errors.New("refused")

// oneLineError keeps an error to one line.
type oneLineError struct{ error }

func (e oneLineError) Error() string { return oneLine(e.error.Error()) }
func (e oneLineError) Unwrap() error { return e.error }
