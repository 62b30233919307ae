// Package wait waits until ClickHouse is complete up to a moment of the source (rule 24).
package wait
