// Package oracle is the independent comparison of tests: it says whether ClickHouse equals Postgres row by row and cell
// by cell, and whether topics hold every change exactly once. It shares no code with the pipeline (it imports nothing
// of this module), asks Postgres itself for what is true, and is written to be obviously right rather than fast.
//
// Tables: Compare and CompareAll read Postgres in one REPEATABLE READ snapshot and the ClickHouse views, and compare
// after canonicalising each cell by its Postgres type (rules 30 and 31 of cdc/EXACTNESS.md).
//
// Topics: a ChangeLog is the list of changes as Postgres' own plugin test_decoding lists them; ReadTopics reads what
// Kafka has; CheckExactlyOnce compares the two.
//
// Reports and errors of this package name keys and values: it is for synthetic data only.
package oracle
