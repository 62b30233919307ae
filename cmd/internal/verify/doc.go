// Package verify compares ClickHouse with Postgres while both go on working (rule 25, rolling).
//
// Both sides write each row as one canonical text: ClickHouse by an expression, this package from what Postgres' output
// functions give, after the column policies. Equal rows have equal texts and unequal rows unequal ones: NULL is not the
// empty text, floats are compared by their bits, and a value that ClickHouse cannot hold by the value that is shown
// instead, together with the exact text in `_inexact` (rule 31).
//
// A table is read in chunks along its key. A chunk is read from Postgres, then L = pg_current_wal_insert_lsn(); once
// ClickHouse is complete up to L its rows are compared. A key that differs is read again on both sides (see recheck),
// so that a row that changes meanwhile is never reported. No row value is ever logged or part of an error.
package verify
