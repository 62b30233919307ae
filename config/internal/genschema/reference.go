package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"dirtbike/config"
)

const preface = `# Configuration reference

Written by ` + "`go generate ./config`" + ` from the fields of package config: do not edit it by hand.

A file is strict YAML: unknown keys, wrong types and empty values are errors that name file, line and column. Every text may
hold ` + "`${env:NAME}` or `${file:PATH}`" + ` (relative to the config file; the newline at the end is left out), also in place of
a number; an unset or empty variable and an empty file are errors, and the content is never printed. ` + "`$${`" + ` is a
literal ` + "`${`" + `. Durations are written like ` + "`250ms`, `60s`, `168h`, `7d`" + `, sizes like ` + "`16MB`" + ` (powers of 1000) or
` + "`16MiB`" + ` (powers of 1024). [sample.yaml](sample.yaml) has every key, [minimal.yaml](minimal.yaml) the necessary ones.

| key | type | default | what it does |
|---|---|---|---|
`

// referenceMarkdown writes one row per key, in the order of the struct's fields; descriptions come from the schema.
func referenceMarkdown(schema *jsonschema.Schema) []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	writeSection(&b, reflect.TypeFor[config.Config](), schema, "")
	return b.Bytes()
}

func writeSection(b *bytes.Buffer, section reflect.Type, schema *jsonschema.Schema, prefix string) {
	for i := range section.NumField() {
		field := section.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		property, _ := schema.Properties.Get(name)
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+name, cell(typeName(field.Type)), cell(defaultOf(field)), cell(property.Description+limits(field)))
		switch inner := sectionType(field.Type); {
		case inner == nil:
		case field.Type.Kind() == reflect.Slice:
			writeSection(b, inner, property.Items, prefix+name+"[].")
		default:
			writeSection(b, inner, property, prefix+name+".")
		}
	}
}

// sectionType is the struct type behind a pointer or in a list; nil for anything without keys of its own.
func sectionType(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[config.Secret]() {
		return nil
	}
	return t
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[config.Secret]():
		return "secret text"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[config.ByteSize]():
		return "size"
	}
	if one, ok := reflect.Zero(t).Interface().(interface{ Values() []string }); ok {
		return "`" + strings.Join(one.Values(), "` or `") + "`"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.Map:
		return "name → " + typeName(t.Elem())
	case reflect.Struct:
		return "section"
	case reflect.Int:
		return "number"
	case reflect.String:
		return "text"
	default:
		panic(fmt.Sprintf("genschema: no name for the type %s", t))
	}
}

func defaultOf(field reflect.StructField) string {
	text, ok := field.Tag.Lookup("default")
	switch {
	case ok:
		return "`" + text + "`"
	case field.Tag.Get("required") == "true":
		return "must be given"
	default:
		return ""
	}
}

// limits writes the tags min, max and pattern in words.
func limits(field reflect.StructField) string {
	low, high := field.Tag.Get("min"), field.Tag.Get("max")
	text := ""
	switch {
	case low != "" && high != "":
		text = fmt.Sprintf(" From %s to %s.", low, high)
	case low != "":
		text = fmt.Sprintf(" At least %s.", low)
	case high != "":
		text = fmt.Sprintf(" At most %s.", high)
	}
	if pattern, ok := field.Tag.Lookup("pattern"); ok {
		text += " Form: `" + pattern + "`."
	}
	switch field.Tag.Get("rotates") {
	case "all":
		text += " *SIGHUP takes another value over.*"
	case "login":
		text += " *SIGHUP takes another login over.*"
	}
	return text
}

// cell makes a text safe inside a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
