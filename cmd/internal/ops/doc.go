// Package ops is where operators look: the HTTP endpoints /livez, /readyz, /status and /metrics, the status that the verb
// `status` prints, and the checks that say what is wrong and what to do before Postgres' disk is full.
package ops
