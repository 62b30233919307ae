package main

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"
)

const stale = "%s is not current. Try: go generate ./config"

// inConfigFolder runs the test where go generate runs.
func inConfigFolder(t *testing.T) *jsonschema.Schema {
	t.Helper()
	t.Chdir("../..")
	schema, err := buildSchema(".")
	require.NoError(t, err)
	return schema
}

func TestFilesAreCurrent(t *testing.T) {
	schema := inConfigFolder(t)
	text, err := schemaJSON(schema)
	require.NoError(t, err)
	for name, want := range map[string][]byte{schemaFile: text, referenceFile: referenceMarkdown(schema)} {
		have, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), stale, name)
	}
}

// Each key and kind of value in a sample must be one that the schema knows, and the full sample must show every key
// that this release supports.
func TestSamplesFollowTheSchema(t *testing.T) {
	schema := inConfigFolder(t)
	for _, name := range []string{"minimal.yaml", "sample.yaml"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Contains(t, string(text), "# yaml-language-server: $schema="+schemaFile+"\n")
			var tree any
			require.NoError(t, yaml.Unmarshal(text, &tree))
			follow(t, name, schema, tree)
		})
	}
	text, err := os.ReadFile("sample.yaml")
	require.NoError(t, err)
	for _, key := range sectionKeys(schema) {
		if key != "rollups" {
			require.Contains(t, string(text), key+":", "sample.yaml does not show the key %s", key)
		}
	}
}

// sectionKeys lists the keys of the sections, but not what is inside tls, which is explained once.
func sectionKeys(schema *jsonschema.Schema) (keys []string) {
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		keys = append(keys, pair.Key)
		if pair.Value.Properties != nil && pair.Key != "tls" {
			keys = append(keys, sectionKeys(pair.Value)...)
		}
	}
	return keys
}

// follow checks the structure of a value: its kind, known keys, required keys, enumerations.
func follow(t *testing.T, at string, schema *jsonschema.Schema, value any) {
	t.Helper()
	switch value := value.(type) {
	case map[string]any:
		require.Equal(t, "object", schema.Type, at)
		for _, key := range schema.Required {
			require.Contains(t, value, key, at)
		}
		for key, inner := range value {
			follow(t, at+"."+key, keySchema(t, at+"."+key, schema, key), inner)
		}
	case []any:
		require.Equal(t, "array", schema.Type, at)
		for _, inner := range value {
			follow(t, at+"[]", schema.Items, inner)
		}
	case string:
		require.Contains(t, kinds(schema), "string", at)
		followChoice(t, at, schema, value)
	case uint64:
		require.Contains(t, kinds(schema), "integer", at)
	default:
		t.Fatalf("%s: no rule for a %T", at, value)
	}
}

func keySchema(t *testing.T, at string, schema *jsonschema.Schema, key string) *jsonschema.Schema {
	t.Helper()
	if schema.Properties != nil && schema.Properties.Len() > 0 {
		property, ok := schema.Properties.Get(key)
		require.True(t, ok, "%s is not in the schema", at)
		return property
	}
	require.NotNil(t, schema.AdditionalProperties, at)
	return schema.AdditionalProperties
}

func followChoice(t *testing.T, at string, schema *jsonschema.Schema, value string) {
	t.Helper()
	for _, one := range schema.AnyOf {
		if len(one.Enum) > 0 && !strings.Contains(value, "${") {
			require.Contains(t, one.Enum, any(value), at)
		}
	}
}

func kinds(schema *jsonschema.Schema) []string {
	all := []string{schema.Type}
	for _, one := range schema.AnyOf {
		all = append(all, one.Type)
	}
	return all
}
