// Package draft writes a first configuration for a Postgres database: an allowlist that names every table and column,
// with a guess of what is private.
package draft
