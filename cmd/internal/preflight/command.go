package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dirtbike/config"
)

// setting is YAML for the config: one section with some of its keys.
func setting(section string, pairs ...string) string {
	var keys []string
	for i := 0; i+1 < len(pairs); i += 2 {
		keys = append(keys, pairs[i]+": "+pairs[i+1])
	}
	return section + ": {" + strings.Join(keys, ", ") + "}"
}

// yamlText writes a text as YAML, quoted; "${" is written so that the config does not take it for a reference.
func yamlText(s string) string { return strings.ReplaceAll(strconv.Quote(s), "${", "$${") }

// without is YAML for the config that leaves tables out.
func without(c *config.Config, tables ...string) string {
	var all []string
	for _, glob := range c.Source.Tables {
		if !slices.Contains(all, glob) {
			all = append(all, glob)
		}
	}
	for _, table := range tables {
		if !slices.Contains(all, "!"+table) {
			all = append(all, "!"+table)
		}
	}
	return tableList(all)
}

// tableList is YAML for the config that names these tables.
func tableList(globs []string) string {
	all := make([]string, len(globs))
	for i, glob := range globs {
		all[i] = yamlText(glob)
	}
	return setting("source", "tables", "["+strings.Join(all, ", ")+"]")
}

// shell quotes an argument for a shell, if it needs it.
func shell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.,:/=@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// kafkaTool begins a command line of one of Kafka's own tools. The person who grants rights needs a login, which is in
// admin.properties.
func kafkaTool(c *config.Config, tool string) string {
	line := tool + " --bootstrap-server " + shell(strings.Join(c.Kafka.Brokers, ","))
	if c.Kafka.SASL != nil || c.Kafka.TLS != nil {
		line += " --command-config admin.properties"
	}
	return line
}

// topicSetting is the command that changes a topic's setting.
func topicSetting(c *config.Config, topic, key, value string) string {
	return fmt.Sprintf("%s --alter --entity-type topics --entity-name %s --add-config %s", kafkaTool(c, "kafka-configs.sh"), shell(topic), shell(key+"="+value))
}
