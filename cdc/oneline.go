package cdc

import (
	"errors"
	"strings"
)

// oneLine writes an error of several lines, as errors.Join makes them, in one.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.error }

// OneLine joins errors in one line; nil if there are none.
func OneLine(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return oneLine{err}
	}
	return nil
}
