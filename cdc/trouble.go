package cdc

import "errors"

// TableTrouble is an error of what belongs to one table: its topic, its subjects at the schema registry, its rows. That
// table cannot go on, the others can. It may hold ErrRefused, which then does not speak of the pipeline.
type TableTrouble struct {
	Topic string // the table's topic, if it is the topic that has the trouble; else empty: the caller knows the table
	// Shared says that the same cause may lie with all tables (a right, a server that answers and fails): if none is
	// without it, it is the pipeline's trouble.
	Shared bool
	// Lasting says that another try gives the same: a person has to act, and to ask for a new copy. Otherwise the table
	// waits, and is tried again.
	Lasting bool
	Err     error
}

// Error is that of Err.
func (e *TableTrouble) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *TableTrouble) Unwrap() error { return e.Err }

// OfOneTable finds the TableTrouble in an error; nil if it is not one table's. ErrSchema always is one. What says that
// another capture has taken over, or that changes are missing, never is.
func OfOneTable(err error) *TableTrouble {
	var trouble *TableTrouble
	switch {
	case errors.Is(err, ErrFenced), errors.Is(err, ErrGap):
		return nil
	case errors.As(err, &trouble):
		return trouble
	case errors.Is(err, ErrSchema):
		return &TableTrouble{Lasting: true, Err: err}
	}
	return nil
}

// TooLarge says that a row, or a value of one, is larger than what the sink takes: the format says which, and its size.
func TooLarge(format string, args ...any) *Problem {
	return Failed(format, args...).Fix("raise kafka.max_message_bytes, and run what dirtbike check then prints for the topics").
		Fix("drop the large column under privacy.columns")
}
