package oracle

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr"
)

// headerSize is Confluent framing: a zero byte, then the schema's id.
const headerSize = 5

// avroReader decodes framed Avro generically, with the writer's schema from the registry.
type avroReader struct {
	registry *sr.Client
	schemas  map[int]*avro.RecordSchema
}

// decode gives the record's schema, its fields, and the payload after the header.
func (a *avroReader) decode(ctx context.Context, framed []byte) (*avro.RecordSchema, *fieldReader, []byte, error) {
	if len(framed) < headerSize || framed[0] != 0 {
		return nil, nil, nil, errors.New("no Confluent framing")
	}
	schema, err := a.schema(ctx, int(binary.BigEndian.Uint32(framed[1:])))
	if err != nil {
		return nil, nil, nil, err
	}
	payload := framed[headerSize:]
	reader := avro.NewReader(nil, 0)
	reader.Reset(payload)
	fields, ok := reader.ReadNext(schema).(map[string]any)
	if reader.Error != nil || !ok {
		return nil, nil, nil, fmt.Errorf("decode %s: %w", schema.FullName(), reader.Error)
	}
	return schema, &fieldReader{values: fields}, payload, nil
}

// schema fetches and parses a schema once. Each has a cache of its own, because two versions of a schema have one name.
func (a *avroReader) schema(ctx context.Context, id int) (*avro.RecordSchema, error) {
	if s := a.schemas[id]; s != nil {
		return s, nil
	}
	fetched, err := a.registry.SchemaByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("fetch schema %d: %w", id, err)
	}
	plain, err := withoutTimes(fetched.Schema)
	if err != nil {
		return nil, fmt.Errorf("parse schema %d: %w", id, err)
	}
	parsed, err := avro.ParseWithCache(plain, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("parse schema %d: %w", id, err)
	}
	record, ok := parsed.(*avro.RecordSchema)
	if !ok {
		return nil, fmt.Errorf("schema %d is no record", id)
	}
	a.schemas[id] = record
	return record, nil
}

// withoutTimes removes the logical types of dates and times from a schema, so that they decode to their integers.
func withoutTimes(schema string) (string, error) {
	var tree any
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		return "", err
	}
	var strip func(any)
	strip = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if logical, _ := n["logicalType"].(string); logical == "date" || strings.Contains(logical, "time") {
				delete(n, "logicalType")
			}
			for _, child := range n {
				strip(child)
			}
		case []any:
			for _, child := range n {
				strip(child)
			}
		}
	}
	strip(tree)
	out, err := json.Marshal(tree)
	return string(out), err
}

// unwrap takes a value out of the one-entry map that a union decodes to.
func unwrap(v any) any {
	if union, ok := v.(map[string]any); ok && len(union) == 1 {
		for _, inner := range union {
			return inner
		}
	}
	return v
}

// fieldReader reads fields of a record; it keeps the first error.
type fieldReader struct {
	values map[string]any
	err    error
}

// number reads an Avro int or long.
func (f *fieldReader) number(name string) int64 {
	switch n := unwrap(f.values[name]).(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	f.err = cmp.Or(f.err, fmt.Errorf("field %q is no integer", name))
	return 0
}

// unsigned reads an integer that was written as it is.
func (f *fieldReader) unsigned(name string) uint64 { return uint64(f.number(name)) } //nolint:gosec // as written

// text reads an Avro string.
func (f *fieldReader) text(name string) string {
	s, ok := unwrap(f.values[name]).(string)
	if !ok {
		f.err = cmp.Or(f.err, fmt.Errorf("field %q is no string", name))
	}
	return s
}

// keyFields gives each field of a key record its canonical text, the same that pgType.keyText gives Postgres' text.
func keyFields(schema *avro.RecordSchema, fields map[string]any) (map[string]string, error) {
	key := make(map[string]string, len(fields))
	for _, field := range schema.Fields() {
		s, err := avroText(field.Type(), unwrap(fields[field.Name()]))
		if err != nil {
			return nil, fmt.Errorf("key field %q: %w", field.Name(), err)
		}
		key[field.Name()] = s
	}
	return key, nil
}

// avroText is the canonical text of one key field.
func avroText(schema avro.Schema, v any) (string, error) {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case []byte:
		return string(v), nil
	case *big.Rat:
		return v.FloatString(decimalScale(schema)), nil
	}
	return "", fmt.Errorf("no canonical text for a %T", v)
}

// decimalScale finds the scale of a decimal, inside a nullable union or not.
func decimalScale(schema avro.Schema) int {
	if union, ok := schema.(*avro.UnionSchema); ok {
		for _, member := range union.Types() {
			if scale := decimalScale(member); scale > 0 {
				return scale
			}
		}
	}
	if typed, ok := schema.(avro.LogicalTypeSchema); ok {
		if decimal, ok := typed.Logical().(*avro.DecimalLogicalSchema); ok {
			return decimal.Scale()
		}
	}
	return 0
}
