package config

import _ "embed"

// Sample is a configuration with every key and its default, for people.
//
//go:embed sample.yaml
var Sample string
