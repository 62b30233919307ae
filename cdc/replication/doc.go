// Package replication is the connection to Postgres: publication, slot, the replication stream and its standby status.
package replication
