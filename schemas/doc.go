// Package schemas is the model of tables and types that both legs share: the source's Relation, the Table contract that
// is registered as an Avro schema, and the one type table Postgres → Avro → ClickHouse.
package schemas

//go:generate go run ./internal/gentypes
