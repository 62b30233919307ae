package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"dirtbike/cdc"
)

// Ping asks for the subjects whose names begin with a prefix, "" for all: count says how many there are, -1 that there
// are more than an answer may hold, as in a large registry that does not know the question for a prefix. An error is
// cdc.ErrRefused if a server answered and would not say. It changes nothing.
func (c *Client) Ping(ctx context.Context, prefix string) (count int, err error) {
	subjects, err := retry(ctx, c.patience, func() ([]string, error) { return c.sr.Subjects(sr.WithParams(ctx, sr.SubjectPrefix(prefix))) })
	many := errors.Is(err, errTooLarge)
	if many { // is it a registry at all?
		_, err = retry(ctx, c.patience, func() ([]int, error) { return c.sr.SubjectVersions(ctx, prefix) })
	}
	var answer *sr.ResponseError
	if many && (err == nil || errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound) {
		return -1, nil
	}
	if errors.As(err, &answer) && !temporary(err) {
		return 0, cdc.Refused("list the subjects").Because(explainAnswer(answer))
	}
	if err != nil {
		return 0, fmt.Errorf("list the subjects: %w", c.explain(err))
	}
	for _, s := range subjects {
		if strings.HasPrefix(s, prefix) {
			count++
		}
	}
	return count, nil
}

// Writable is nil if the registry's global mode lets schemas be registered, else cdc.ErrRefused; registries that know
// no modes are writable. It changes nothing.
func (c *Client) Writable(ctx context.Context) error {
	for _, m := range c.sr.Mode(ctx) {
		if m.Err == nil && m.Mode != sr.ModeReadWrite {
			return cdc.Refused("the registry is in mode %s and takes no schema", m.Mode)
		}
	}
	return nil
}

// Fits asks, and changes nothing, whether Register would succeed as far as the subject's earlier versions are
// concerned: an error is cdc.ErrSchema if this schema is incompatible with them. A subject that does not exist, or a
// schema that is there already, fits.
func (c *Client) Fits(ctx context.Context, subject, schema string) error {
	text := sr.Schema{Schema: schema, Type: sr.TypeAvro}
	if _, err := c.sr.LookupSchema(ctx, subject, text); err == nil {
		return nil
	}
	const latest = -1
	result, err := retry(ctx, c.patience, func() (sr.CheckCompatibilityResult, error) {
		return c.sr.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, latest, text)
	})
	var answer *sr.ResponseError
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return nil // no such subject, or it has no version
	case err != nil:
		return fmt.Errorf("compare the schema with subject %s: %w", subject, c.explainRegister(err, subject))
	case !result.Is:
		return incompatible(subject, "the latest version", cmp.Or(oneLine(strings.Join(result.Messages, "; ")), "no reason given"))
	}
	return nil
}
