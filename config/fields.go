package config

import (
	"cmp"
	"fmt"
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
func exampleOf(of reflect.Type, tag reflect.StructTag) string {
	if of.Kind() != reflect.Struct || of == secretType {
		return sampleOf(tag)
	}
	var keys []string
	for _, inner := range fieldsOf(of) {
		if inner.Tag.Get("required") == "true" {
			keys = append(keys, inner.Tag.Get("yaml")+": "+exampleOf(inner.Type, inner.Tag))
		}
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

// sectionLike is a section in YAML: the keys that must be given, else the first one that has a default, with it.
func sectionLike(of reflect.Type) string {
	example := exampleOf(of, "")
	for _, field := range fieldsOf(of) {
		if preset := field.Tag.Get("default"); example == "{}" && preset != "" {
			return "{" + field.Tag.Get("yaml") + ": " + preset + "}"
		}
	}
	return example
}

// sampleOf is a good value for a scalar, a list or a mapping: the example of its tag, else its default.
func sampleOf(tag reflect.StructTag) string { return cmp.Or(tag.Get("example"), tag.Get("default")) }

// shapeOf is how a mapping of that type is written: the example of the tag, or of a mapping inside it, what the example
// has there.
func shapeOf(t reflect.Type, tag reflect.StructTag) string {
	example, nested := tag.Get("example"), 0
	for inner := t.Elem(); inner.Kind() == reflect.Map; inner = inner.Elem() {
		nested++
	}
	for range strings.Count(example, ": {") - nested {
		_, example, _ = strings.Cut(strings.TrimSuffix(example, "}"), ": ")
	}
	return example
}

// entryTag is what an entry takes over from the tag of its list or mapping: what bounds a value, and the example if it
// is a mapping itself.
func entryTag(entry reflect.Type, tag reflect.StructTag) (kept reflect.StructTag) {
	if entry.Kind() == reflect.Map {
		return tag
	}
	for _, name := range []string{"min", "max", "pattern"} {
		if value, has := tag.Lookup(name); has {
			kept += reflect.StructTag(fmt.Sprintf("%s:%q ", name, value))
		}
	}
	return kept
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
