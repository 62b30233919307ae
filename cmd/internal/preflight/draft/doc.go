// Package draft writes a first configuration for a Postgres database: an allowlist in which every table and column stands by its name,
// with a guess of what is private.
package draft
