// Package endpoints answers operators over HTTP: /livez, /readyz, /status and /metrics.
package endpoints
