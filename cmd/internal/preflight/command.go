package preflight

import (
	"slices"
	"strconv"
	"strings"

	"dirtbike/cmd/internal/console"
	"dirtbike/config"
)

// setting is YAML for the config: one section with one of its keys.
func setting(section, key, value string) string { return section + ": {" + key + ": " + value + "}" }

// yamlText writes a text as YAML, quoted; "${" is written so that the config does not take it for a reference.
func yamlText(s string) string { return strings.ReplaceAll(strconv.Quote(s), "${", "$${") }

// without is YAML for the config that leaves tables out.
func without(c *config.Config, tables ...string) string {
	var all []string
	for _, glob := range c.Source.Tables {
		all = append(all, yamlText(glob))
	}
	for _, table := range tables {
		all = append(all, yamlText("!"+table))
	}
	var once []string
	for _, glob := range all {
		if !slices.Contains(once, glob) {
			once = append(once, glob)
		}
	}
	return setting("source", "tables", "["+strings.Join(once, ", ")+"]")
}

// kafkaTool begins a command line of one of Kafka's own tools; an administrator's login is in admin.properties.
func kafkaTool(c *config.Config, tool string) string {
	line := tool + " --bootstrap-server " + console.Shell(strings.Join(c.Kafka.Brokers, ","))
	if c.Kafka.SASL != nil || c.Kafka.TLS != nil {
		line += " --command-config admin.properties"
	}
	return line
}
