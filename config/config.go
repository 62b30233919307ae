package config

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"

	"dirtbike/cdc"
)

// Config is one whole file: everything a pipeline needs to know. Values are complete (defaults applied, references
// resolved) and checked against each other, but nothing in it has been compared with a living server yet: see
// [Source.CheckGlobs], [Source.CheckKeys], [Privacy.Check] and [Privacy.CheckRenamed]. It is not changed after Parse;
// reading it is safe from many goroutines.
type Config struct {
	// Where the changes come from: a Postgres database.
	Source Source `yaml:"source" required:"true"`
	// Where the changes go first: topics of a Kafka cluster.
	Kafka Kafka `yaml:"kafka" required:"true"`
	// The schema registry that holds the Avro schemas of the topics.
	Registry Registry `yaml:"registry" required:"true"`
	// Where the tables are kept equal to Postgres.
	ClickHouse ClickHouse `yaml:"clickhouse" required:"true"`
	// What may leave Postgres, column by column. Without this section everything may (mode open), and dirtbike warns at
	// each start.
	Privacy *Privacy `yaml:"privacy"`
	// Aggregates kept exact in ClickHouse. Not supported by this release: a list that is not empty is refused.
	Rollups []Rollup `yaml:"rollups"`
	// The health and metrics endpoints.
	Ops Ops `yaml:"ops"`
	// How `dirtbike verify` compares Postgres with ClickHouse.
	Verify Verify `yaml:"verify"`

	at *positions
}

// Sample is a configuration with every key and its default, for people.
//
//go:embed sample.yaml
var Sample string

// maxConfig is the largest config file, in bytes: anything larger is another file, or a device.
const maxConfig = 1 << 20

// Load reads and parses the file at path, which may be a pipe; it reads at most 1 MiB. Relative ${file:…} references
// and certificate paths start at its folder. Flags that override the file are set by overrides, before the validation.
func Load(path string, overrides ...func(*Config)) (*Config, error) {
	data, err := readAtMost(path, maxConfig)
	if err != nil {
		if withPath := (*os.PathError)(nil); errors.As(err, &withPath) {
			err = &os.PathError{Op: withPath.Op, Path: Named(path), Err: withPath.Err}
		}
		return nil, cdc.Failed("read config").Because(err).Fix("--config FILE; dirtbike explain config shows every key")
	}
	return Parse(path, data, overrides...)
}

// Parse decodes data strictly, resolves its references, fills in defaults and validates. The name is in errors, and its
// folder is where relative paths start. The overrides change what was decoded, before it is validated. The error, if
// any, is an [Errors]: every problem found, in the order of lines.
func Parse(name string, data []byte, overrides ...func(*Config)) (*Config, error) {
	d := &decoder{collector{at: newPositions(name)}, filepath.Dir(name)}
	cfg := &Config{at: d.at}
	d.document(data, cfg)
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	for _, override := range overrides {
		override(cfg)
	}
	cfg.attach()
	if errs := cfg.validate(); len(errs) > 0 {
		return nil, errs.sorted()
	}
	return cfg, nil
}

// Path is the file's name as given to Load or Parse.
func (c *Config) Path() string { return c.at.fileName() }

// attach gives the sections that check themselves later the places of their keys.
func (c *Config) attach() {
	c.Source.at = c.at
	if c.Privacy != nil {
		c.Privacy.at = c.at
	}
	for _, t := range []*TLS{c.Kafka.TLS, c.Registry.TLS, c.ClickHouse.TLS} {
		if t != nil {
			t.at = c.at
		}
	}
	if c.Ops.TLS != nil {
		c.Ops.TLS.at = c.at
	}
}
