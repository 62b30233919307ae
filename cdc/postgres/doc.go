// Package postgres is the source: publication, slot, the replication stream with its standby status, and the snapshots
// from which tables are copied.
package postgres
