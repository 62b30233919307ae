// Package catalog reads Postgres' catalog into schemas.Relation, decides which tables are captured, and compiles their
// encoders.
package catalog
