// Package preflight checks, before a start, whether every part is as the pipeline needs it, and gives the command that
// fixes what is not. It changes nothing anywhere. Where a start has a check of its own, that one is asked.
package preflight
