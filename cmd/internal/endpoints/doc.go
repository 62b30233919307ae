// Package endpoints answers operators over HTTP: /livez, /readyz, /status and /metrics.
package endpoints

//go:generate go run ./genmetrics
