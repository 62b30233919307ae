package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	configType   = reflect.TypeFor[Config]()
	secretType   = reflect.TypeFor[Secret]()
	durationType = reflect.TypeFor[time.Duration]()
	byteSizeType = reflect.TypeFor[ByteSize]()
)

// choice is a text type with a fixed list of values.
type choice interface{ Values() []string }

// fieldsOf lists the settings of a section in their order.
func fieldsOf(section reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for _, field := range reflect.VisibleFields(section) {
		if field.Tag.Get("yaml") != "" {
			fields = append(fields, field)
		}
	}
	return fields
}

func fieldNamed(section reflect.Type, key string) (reflect.StructField, bool) {
	for _, field := range fieldsOf(section) {
		if field.Tag.Get("yaml") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(section reflect.Type) []string {
	var keys []string
	for _, field := range fieldsOf(section) {
		keys = append(keys, field.Tag.Get("yaml"))
	}
	return keys
}

func knownKeys(section reflect.Type) string {
	return " (known here: " + strings.Join(keysOf(section), ", ") + ")"
}

// holds names the keys inside a section that is missing altogether.
func holds(t reflect.Type) string {
	if t.Kind() != reflect.Struct || t == secretType {
		return ""
	}
	return knownKeys(t)
}

// findKey returns the path of the first setting with that name, in any section.
func findKey(section reflect.Type, path keyPath, key string) keyPath {
	for _, field := range fieldsOf(section) {
		name := field.Tag.Get("yaml")
		if name == key {
			return path.child(name)
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || inner == secretType {
			continue
		}
		if found := findKey(inner, path.child(name), key); found != nil {
			return found
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
