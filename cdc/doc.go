// Package cdc is the vocabulary of change data capture (positions, operations, transactions, durability) and the
// capture loop that moves changes from a Source to a durable Sink.
//
// It imports nothing else of this module: every other package speaks its words.
package cdc
