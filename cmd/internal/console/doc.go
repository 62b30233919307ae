// Package console writes text for terminals: as wide as there is room for, and without bytes that a terminal might
// obey.
package console
