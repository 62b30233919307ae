package avro

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hamba/avro/v2"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// ParseTable reads the table back from its registered value schema alone. Source, Transform, and the OIDs and typmods
// of types are not part of the contract and stay unset.
func ParseTable(envelopeSchema string) (*schemas.Table, error) {
	t, err := parseTable(envelopeSchema)
	if err != nil {
		return nil, cdc.Failed("parse value schema").Because(err).OrFix("find out who else registers schemas under the topic's subject")
	}
	return t, nil
}

func parseTable(text string) (*schemas.Table, error) {
	envelope, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	topic, ok := strings.CutSuffix(envelope.FullName(), schemas.EnvelopeSuffix)
	if !ok {
		return nil, fmt.Errorf("record %s is no envelope", envelope.FullName())
	}
	value, err := valueOf(envelope)
	if err != nil {
		return nil, err
	}
	var p tableProps
	if err := decodeProps(value.Props(), &p); err != nil {
		return nil, err
	}
	if p.Format != Format {
		return nil, fmt.Errorf("it has format %d, this release reads %d", p.Format, Format)
	}
	t := &schemas.Table{Topic: topic, Database: p.Database, Schema: p.Schema, Name: p.Table, Compacted: p.Compacted, Comment: p.Comment}
	for _, f := range value.Fields() {
		c, err := parseColumn(f, slices.Contains(p.Key, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name(), err)
		}
		t.Columns = append(t.Columns, c)
	}
	return t, setKey(t, p.Key)
}

func setKey(t *schemas.Table, key []string) error {
	if len(key) == 0 {
		return errors.New("it names no key")
	}
	for _, field := range key {
		at := slices.IndexFunc(t.Columns, func(c schemas.TableColumn) bool { return c.Field == field })
		if at < 0 {
			return fmt.Errorf("its key field %s does not exist", field)
		}
		t.Key = append(t.Key, at)
	}
	return nil
}

func parseRecord(text string) (*avro.RecordSchema, error) {
	s, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("it is no Avro schema: %.200s", err.Error()) // which may quote all of it
	}
	r, ok := s.(*avro.RecordSchema)
	if !ok {
		return nil, errors.New("it is no record")
	}
	return r, nil
}

// valueOf finds the Value record: the type of `before`, wherever the registry wrote it out.
func valueOf(envelope *avro.RecordSchema) (*avro.RecordSchema, error) {
	for _, f := range envelope.Fields() {
		union, ok := f.Type().(*avro.UnionSchema)
		if !ok || f.Name() != "before" {
			continue
		}
		for _, s := range union.Types() {
			if ref, ok := s.(*avro.RefSchema); ok {
				s = ref.Schema()
			}
			if r, ok := s.(*avro.RecordSchema); ok {
				return r, nil
			}
		}
	}
	return nil, errors.New("it has no field before with a record")
}

func parseColumn(f *avro.Field, key bool) (schemas.TableColumn, error) {
	var p columnProps
	if err := decodeProps(f.Props(), &p); err != nil {
		return schemas.TableColumn{}, err
	}
	kind, err := schemas.ParseKind(p.Kind)
	if err != nil {
		return schemas.TableColumn{}, err
	}
	c := schemas.TableColumn{
		Name: p.Name, Field: f.Name(), Attnum: p.Attnum, Declared: p.Declared, Policy: p.Policy, NotNull: p.NotNull, Key: key,
		Toastable: p.Toastable, Comment: p.Comment, Type: schemas.Type{Kind: kind, Name: p.Type, Precision: p.Precision, Scale: p.Scale},
	}
	if p.Elem != nil {
		elem, err := schemas.ParseKind(p.Elem.Kind)
		if err != nil {
			return c, err
		}
		c.Type.Elem = &schemas.Type{Kind: elem, Name: p.Elem.Type, Precision: p.Elem.Precision, Scale: p.Elem.Scale}
	}
	return c, checkType(&c.Type)
}

// decodeProps turns the parser's untyped properties into ours.
func decodeProps(props map[string]any, into any) error {
	b, err := json.Marshal(props)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("its properties: %w", err)
	}
	return nil
}
