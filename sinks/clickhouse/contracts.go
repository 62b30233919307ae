package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// contracts are the schemas that records name by their ids, read from the registry once.
type contracts struct {
	registry schemas.Registry
	retry    retry
	values   map[int]*contract
	controls map[int]bool
	missing  map[int]error // ids of which the registry has no schema
}

// contract is what the value schema of an id says.
type contract struct {
	id     int
	table  *schemas.Table
	reader *avro.Reader
	err    error // the schema cannot be used
}

var errSchema = errors.New("the registered schema cannot be used")

func newContracts(registry schemas.Registry, retry retry) *contracts {
	return &contracts{registry: registry, retry: retry, values: map[int]*contract{}, controls: map[int]bool{}, missing: map[int]error{}}
}

// value reads and compiles the value schema of an id.
func (c *contracts) value(ctx context.Context, id int) (*contract, error) {
	if v := c.values[id]; v != nil {
		return v, v.err
	}
	text, err := c.schema(ctx, id)
	if err != nil {
		return nil, err
	}
	v := &contract{id: id}
	if v.table, err = avro.ParseTable(text); err == nil {
		v.reader, err = avro.NewReader(v.table)
	}
	if err != nil {
		v.err = fmt.Errorf("%w: id %d: %w", errSchema, id, err)
	}
	c.values[id] = v
	return v, v.err
}

// isControl reports whether a key schema is that of control records.
func (c *contracts) isControl(ctx context.Context, id int) (bool, error) {
	if is, ok := c.controls[id]; ok {
		return is, nil
	}
	text, err := c.schema(ctx, id)
	if err != nil {
		return false, err
	}
	c.controls[id] = avro.IsControl(text)
	return c.controls[id], nil
}

// schema reads the schema of an id. One that the registry does not have is asked for once: its records quarantine their
// table.
func (c *contracts) schema(ctx context.Context, id int) (text string, err error) {
	if err := c.missing[id]; err != nil {
		return "", err
	}
	began := time.Now()
	err = c.retry(ctx, readSchema, func(ctx context.Context) (err error) {
		text, err = c.registry.Schema(ctx, id)
		if errors.Is(err, schemas.ErrNoSchema) && time.Since(began) < replicaDelay {
			return errors.New(err.Error()) // not final yet
		}
		return err
	})
	if errors.Is(err, schemas.ErrNoSchema) {
		c.missing[id] = err
	}
	return text, err
}

// replicaDelay is how long a replica of the registry may not have heard of a schema that capture registered with
// another one.
const replicaDelay = 5 * time.Second
