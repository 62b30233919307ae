package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"

	"dirtbike/config"
)

// referencePattern matches a text with a reference, which may stand for any value.
const referencePattern = `\$\{(env|file):.+\}`

// buildSchema reflects config.Config, with the doc comments of the sources in folder, and adds what the tags say.
func buildSchema(folder string) (*jsonschema.Schema, error) {
	reflector := &jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
		FieldNameTag: "yaml", Mapper: scalarSchema,
	}
	if err := reflector.AddGoComments("dirtbike/config", folder); err != nil {
		return nil, fmt.Errorf("read doc comments: %w", err)
	}
	schema := reflector.Reflect(&config.Config{})
	schema.Title = "dirtbike configuration"
	if err := addTags(reflect.TypeFor[config.Config](), schema); err != nil {
		return nil, err
	}
	return schema, nil
}

// scalarSchema describes the types that YAML has no type for.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[config.Secret]():
		return &jsonschema.Schema{Type: "string", Format: "password"}
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$|` + referencePattern, Examples: []any{"60s", "7d"}}
	case reflect.TypeFor[config.ByteSize]():
		return &jsonschema.Schema{
			AnyOf: []*jsonschema.Schema{
				{Type: "integer", Minimum: "0"},
				{Type: "string", Pattern: `^[0-9.,]+ ?([kKmMgGtTpPeE]?[iI]?[bB]?)$|` + referencePattern},
			},
			Examples: []any{"16MB", "64KiB"},
		}
	}
	if one, ok := reflect.Zero(t).Interface().(interface{ Values() []string }); ok {
		listed := &jsonschema.Schema{Type: "string"}
		for _, value := range one.Values() {
			listed.Enum = append(listed.Enum, value)
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{listed, {Type: "string", Pattern: referencePattern}}}
	}
	return nil
}

// addTags walks the struct and its schema side by side.
func addTags(section reflect.Type, schema *jsonschema.Schema) error {
	for i := range section.NumField() {
		field := section.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		property, ok := schema.Properties.Get(name)
		if !ok {
			return fmt.Errorf("the schema has no property %s of %s", name, section)
		}
		property.Description = strings.ReplaceAll(property.Description, "\n", " ")
		if property.Description == "" {
			return fmt.Errorf("%s.%s has no doc comment", section, field.Name)
		}
		if field.Tag.Get("required") == "true" {
			schema.Required = append(schema.Required, name)
		}
		if err := addTag(field, property); err != nil {
			return fmt.Errorf("%s.%s: %w", section, field.Name, err)
		}
	}
	return nil
}

func addTag(field reflect.StructField, property *jsonschema.Schema) error {
	if text, ok := field.Tag.Lookup("default"); ok {
		if err := yaml.Unmarshal([]byte(text), &property.Default); err != nil {
			return fmt.Errorf("default: %w", err)
		}
	}
	if pattern, ok := field.Tag.Lookup("pattern"); ok {
		property.Pattern = pattern + "|" + referencePattern
	}
	inner := field.Type
	for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
		inner = inner.Elem()
		if property.Items != nil {
			property = property.Items
		}
	}
	switch {
	case inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.Secret]():
		return addTags(inner, property)
	case inner.Kind() == reflect.Int:
		allowReference(field, property)
	}
	return nil
}

// allowReference turns "a number" into "a number or a text with a reference".
func allowReference(field reflect.StructField, property *jsonschema.Schema) {
	plain := &jsonschema.Schema{Type: property.Type, Minimum: json.Number(field.Tag.Get("min")), Maximum: json.Number(field.Tag.Get("max"))}
	property.Type = ""
	property.AnyOf = []*jsonschema.Schema{plain, {Type: "string", Pattern: referencePattern}}
}

func schemaJSON(schema *jsonschema.Schema) ([]byte, error) {
	compact, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}
