// Package table is the storage of one generation of a source table in ClickHouse and the view that shows it: their SQL,
// what the storage's columns are now, inserting blocks of rows, and reading rows back by their key.
package table
