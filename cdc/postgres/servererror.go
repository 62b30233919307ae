package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that are looked for in more than one place.
const (
	codeUndefined = "42704" // undefined_object
	codeNoRight   = "42501" // insufficient_privilege
	codeInUse     = "55006" // object_in_use
)

// safeSQLStates are the classes of SQLSTATE whose messages name objects, rights and conditions, but never a value of a
// row. (Class 22, data exception, quotes the value; so may 23, 55P04 an enum's label, and whatever a function of the
// user's raises.)
var safeSQLStates = []string{"08", "25", "28", "3D", "3F", "40", "42", "53", "54", "55000", "55006", "55P03", "57", "58"}

// ServerError gives what a Postgres server said in an error, "message (SQLSTATE)", or the SQLSTATE alone if the message
// may quote a value.
func ServerError(code, message string) string {
	for _, class := range safeSQLStates {
		if strings.HasPrefix(code, class) {
			return message + " (" + code + ")"
		}
	}
	return withheld(code)
}

func withheld(code string) string {
	return "Postgres error " + code + " (its message may quote a value and is left out)"
}

// Said is ServerError of what a server said to a query that reads a table. The message of an error that came up inside
// a function is left out, whatever its SQLSTATE: the table's owner may have put the function there, and it raises what
// it likes.
func Said(e *pgconn.PgError) string {
	if e.Where != "" {
		return withheld(e.Code)
	}
	return ServerError(e.Code, e.Message)
}

// Passing reports whether what a server said to a query that reads a table is ServersOwn. What came up inside a
// function is the table's, as for Said.
func Passing(e *pgconn.PgError) bool { return e.Where == "" && ServersOwn(e.Code) }

// ServersOwn reports whether a SQLSTATE says that the server as a whole cannot go on now, or that the connection broke:
// it is away, starts, stops, or is out of connections, memory or disk. That passes, and no table is to blame. Any other
// code, also one that is not known, is the trouble of the table that was asked for.
func ServersOwn(code string) bool {
	for _, class := range []string{"08", "53", "57P", "58000"} { // connection, resources, operator (not 57014, one query), system
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// BadValue reports whether a SQLSTATE says that a value cannot be read or written: a data exception, or corrupt data.
// Trying again is no help, and it concerns its table alone.
func BadValue(code string) bool { return strings.HasPrefix(code, "22") || code == "XX001" }
