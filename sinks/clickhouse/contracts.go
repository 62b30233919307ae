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
	known    map[int]*contract
}

// contract is what the schema of an id says.
type contract struct {
	id      int
	missing error // the registry has no such schema
	control bool  // it is the key of control records
	table   *schemas.Table
	reader  *avro.Reader
	err     error // it cannot be used as that of values
}

var errSchema = errors.New("the registered schema cannot be used")

// value gives the value schema of an id.
func (c *contracts) value(ctx context.Context, id int) (*contract, error) {
	v, err := c.read(ctx, id)
	if err == nil {
		err = v.err
	}
	return v, err
}

// isControl reports whether a key schema is that of control records.
func (c *contracts) isControl(ctx context.Context, id int) (bool, error) {
	v, err := c.read(ctx, id)
	return err == nil && v.control, err
}

// read reads the schema of an id. One that the registry does not have is asked for once: its records quarantine their
// table.
func (c *contracts) read(ctx context.Context, id int) (*contract, error) {
	if v := c.known[id]; v != nil {
		return v, v.missing
	}
	began := time.Now()
	var text string
	err := c.retry(ctx, readSchema, func(ctx context.Context) (err error) {
		text, err = c.registry.Schema(ctx, id)
		if errors.Is(err, schemas.ErrNoSchema) && time.Since(began) < replicaDelay {
			return errors.New(err.Error()) // not final yet
		}
		return err
	})
	if err != nil && !errors.Is(err, schemas.ErrNoSchema) {
		return nil, err
	}
	v := &contract{id: id, missing: err}
	c.known[id] = v
	if err == nil {
		v.control = avro.IsControl(text)
		if v.table, v.err = avro.ParseTable(text); v.err == nil {
			v.reader, v.err = avro.NewReader(v.table)
		}
	}
	if v.err != nil {
		v.err = fmt.Errorf("%w: id %d: %w", errSchema, id, v.err)
	}
	return v, v.missing
}

// replicaDelay is how long a replica of the registry may not know a schema that capture registered with another one.
const replicaDelay = 5 * time.Second
