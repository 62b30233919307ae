// Package config turns the YAML that people write into typed, checked settings.
//
// It is strict: an unknown key, a wrong type, an empty value or a value out of range is an [Error] that names file,
// line, column, the key and, after "Try: ", the nearest right one or what else to do. It never repeats the content of a
// secret, nor of any value that came out of an environment variable or a file.
//
// Everything about a key is in one place, its struct field: the doc comment is its description, the tags are its name
// (yaml), its default (default, in YAML), whether it must be given (required), its range (min, max), its form (pattern)
// and a good value for errors to show where the default is none (example, in YAML). The decoder, dirtbike.schema.json
// and REFERENCE.md are all derived from there.
package config

//go:generate go run ./internal/genschema
