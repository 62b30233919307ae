// Package cdc is the vocabulary of change data capture: positions, changes, chunks, what a source and a sink promise,
// the state of a pipeline, and errors that say what to do. cdc/capture moves changes from a Source to a durable Sink.
//
// It imports nothing else of this module: every other package speaks its words.
package cdc
