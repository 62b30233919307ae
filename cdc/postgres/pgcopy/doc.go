// Package pgcopy reads the binary format of COPY … TO STDOUT (FORMAT binary): pure, no I/O, no allocation per row.
//
// The layout is that of the Postgres manual, COPY, "Binary Format": a signature, flags and a header extension; per row
// a field count and, per field, a length and so many bytes in the form of the type's send function; the count -1 at the
// end.
package pgcopy
