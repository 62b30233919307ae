package avro

import (
	"encoding/json"
	"fmt"

	"github.com/hamba/avro/v2"

	"dirtbike/schemas"
)

// Format is the version of the properties in the value schema (`dirtbike.format`).
const Format = 1

// recordJSON and fieldJSON are an Avro record as it is registered; their order is kept.
type recordJSON struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
	*tableProps
	Fields []fieldJSON `json:"fields"`
}

type fieldJSON struct {
	Name    string `json:"name"`
	Type    any    `json:"type"`
	Doc     string `json:"doc,omitempty"`
	Default any    `json:"default,omitempty"`
	*columnProps
}

// nullDefault is a default of null, which omitempty would drop.
var nullDefault = json.RawMessage("null")

// zeroDefault is a default of 0, which omitempty would drop.
var zeroDefault = json.RawMessage("0")

// tableProps are the properties of the Value record; names are a format.
type tableProps struct {
	Format    int      `json:"dirtbike.format"`
	Database  string   `json:"dirtbike.database"`
	Schema    string   `json:"dirtbike.schema"`
	Table     string   `json:"dirtbike.table"`
	Key       []string `json:"dirtbike.key"`
	Compacted bool     `json:"dirtbike.compacted"`
	Comment   string   `json:"dirtbike.comment,omitempty"`
}

// columnProps are the properties of a field of the Value record; names are a format.
type columnProps struct {
	Name      string     `json:"dirtbike.name"`
	Attnum    int16      `json:"dirtbike.attnum"`
	Kind      string     `json:"dirtbike.kind"`
	Type      string     `json:"dirtbike.type"`
	Declared  string     `json:"dirtbike.declared"`
	Precision int        `json:"dirtbike.precision"`
	Scale     int        `json:"dirtbike.scale"`
	Elem      *elemProps `json:"dirtbike.elem,omitempty"`
	Policy    string     `json:"dirtbike.policy"`
	NotNull   bool       `json:"dirtbike.notnull"`
	Toastable bool       `json:"dirtbike.toastable"`
	Comment   string     `json:"dirtbike.comment,omitempty"`
}

// elemProps describe the element type of an array.
type elemProps struct {
	Kind      string `json:"kind"`
	Type      string `json:"type"`
	Precision int    `json:"precision"`
	Scale     int    `json:"scale"`
}

// EnvelopeSchema gives the Avro schema of the table's values (subject <topic>-value). It carries the whole contract:
// see ParseTable.
func EnvelopeSchema(t *schemas.Table) (string, error) {
	value, err := valueRecord(t)
	if err != nil {
		return "", err
	}
	return render(t.Topic, envelopeRecord(t.Topic, value))
}

// KeySchema gives the Avro schema of the table's keys (subject <topic>-key): names and types in key order, nothing
// else, so that it changes only when a new generation is due (rule 9).
func KeySchema(t *schemas.Table) (string, error) {
	r := recordJSON{Type: "record", Name: t.Topic + schemas.KeySuffix}
	if len(t.Key) == 0 {
		return "", fmt.Errorf("key schema of table %s: the table has no key", t.FullName())
	}
	for _, k := range t.Key {
		c := &t.Columns[k]
		if err := checkType(&c.Type); err != nil {
			return "", fmt.Errorf("key schema of table %s, column %s: %w", t.FullName(), c.Name, err)
		}
		r.Fields = append(r.Fields, fieldJSON{Name: c.Field, Type: keyForm(&c.Type).schema})
	}
	return render(t.Topic, r)
}

// render marshals and checks with the parser that readers use.
func render(topic string, r recordJSON) (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("schema of topic %s: %w", topic, err)
	}
	if _, err := avro.ParseBytesWithCache(b, "", &avro.SchemaCache{}); err != nil {
		return "", fmt.Errorf("schema of topic %s: %w", topic, err)
	}
	return string(b), nil
}

func valueRecord(t *schemas.Table) (recordJSON, error) {
	r := recordJSON{Type: "record", Name: t.Topic + schemas.ValueSuffix, Doc: "One row of " + t.FullName() + ".", tableProps: &tableProps{
		Format: Format, Database: t.Database, Schema: t.Schema, Table: t.Name, Key: []string{}, Compacted: t.Compacted, Comment: t.Comment,
	}}
	for _, k := range t.Key {
		r.Key = append(r.Key, t.Columns[k].Field)
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if err := checkType(&c.Type); err != nil {
			return r, fmt.Errorf("value schema of table %s, column %s: %w", t.FullName(), c.Name, err)
		}
		f := fieldJSON{Name: c.Field, Type: formOf(&c.Type).schema, columnProps: propsOf(c)}
		if Nullable(c) {
			f.Type, f.Default = []any{"null", f.Type}, nullDefault
		}
		r.Fields = append(r.Fields, f)
	}
	return r, nil
}

func propsOf(c *schemas.TableColumn) *columnProps {
	p := &columnProps{
		Name: c.Name, Attnum: c.Attnum, Kind: c.Type.Kind.String(), Type: c.Type.Name, Declared: c.Declared,
		Precision: c.Type.Precision, Scale: c.Type.Scale, Policy: c.Policy, NotNull: c.NotNull, Toastable: c.Toastable, Comment: c.Comment,
	}
	if e := c.Type.Elem; e != nil {
		p.Elem = &elemProps{Kind: e.Kind.String(), Type: e.Name, Precision: e.Precision, Scale: e.Scale}
	}
	return p
}

// logicalJSON is a type with a logical type.
type logicalJSON struct {
	Type      string `json:"type"`
	Logical   string `json:"logicalType"`
	Precision int    `json:"precision,omitempty"`
	Scale     *int   `json:"scale,omitempty"`
}

type arrayJSON struct {
	Type  string `json:"type"`
	Items any    `json:"items"`
}
