package avro

import (
	"context"
	"fmt"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Compile registers the schemas of a table, which is rel after the policies, and compiles its encoder. reread is as for
// NewEncoder. An error that is a cdc.TableTrouble is about this table alone; any other says that the registry did not
// answer, or refuses our login.
func Compile(
	ctx context.Context, registry schemas.Registry, rel *schemas.Relation, t *schemas.Table, topic *cdc.Topic, reread cdc.Rereader,
) (cdc.TableEncoder, error) {
	ids, err := register(ctx, registry, t)
	if err != nil {
		return nil, err
	}
	encoder, err := NewEncoder(rel, t, topic, ids, reread)
	if err != nil {
		return nil, &cdc.TableTrouble{Lasting: true, Err: err}
	}
	return encoder, nil
}

func register(ctx context.Context, registry schemas.Registry, t *schemas.Table) (ids IDs, err error) {
	for _, s := range []struct {
		suffix string
		id     *int
		write  func(*schemas.Table) (string, error)
	}{
		{"-key", &ids.Key, KeySchema},
		{"-value", &ids.Value, EnvelopeSchema},
	} {
		subject := t.Topic + s.suffix
		schema, err := s.write(t)
		if err != nil {
			return ids, &cdc.TableTrouble{Lasting: true, Err: fmt.Errorf("schema of %s: %w", subject, err)}
		}
		if *s.id, err = registry.Register(ctx, subject, schema); err != nil {
			return ids, err
		}
	}
	return ids, nil
}
