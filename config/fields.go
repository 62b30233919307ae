package config

import (
	"cmp"
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
	return slices.DeleteFunc(reflect.VisibleFields(section), func(f reflect.StructField) bool { return f.Tag.Get("yaml") == "" })
}

func fieldNamed(section reflect.Type, key string) (field reflect.StructField, found bool) {
	fields := fieldsOf(section)
	if at := slices.Index(keysOf(section), key); at >= 0 {
		return fields[at], true
	}
	return field, false
}

func keysOf(section reflect.Type) (keys []string) {
	for _, field := range fieldsOf(section) {
		keys = append(keys, field.Tag.Get("yaml"))
	}
	return keys
}

func knownKeys(section reflect.Type) string { return strings.Join(keysOf(section), ", ") }

// exampleOf is a value for a setting in YAML: what its tag says, else the keys of a section that must be given.
func exampleOf(field reflect.StructField) string {
	if field.Type.Kind() != reflect.Struct || field.Type == secretType {
		return sampleOf(field.Tag)
	}
	var keys []string
	for _, inner := range fieldsOf(field.Type) {
		if inner.Tag.Get("required") == "true" {
			keys = append(keys, inner.Tag.Get("yaml")+": "+exampleOf(inner))
		}
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

// sampleOf is a good value for a scalar or a list: the example of its tag, else its default.
func sampleOf(tag reflect.StructTag) string { return cmp.Or(tag.Get("example"), tag.Get("default")) }

// shapeOf is how a mapping or a list of that type is written.
func shapeOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Map:
		return "{name: " + shapeOf(t.Elem()) + "}"
	case reflect.Slice:
		return "[" + shapeOf(t.Elem()) + "]"
	default:
		return "value"
	}
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
