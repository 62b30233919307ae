// Package errcode says what an error of ClickHouse means, by its code. The server's own message may quote a row's
// value, so it is never shown.
package errcode
