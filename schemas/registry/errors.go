package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"dirtbike/cdc"
)

// passing reports whether trying again may help: the network, or the registry's own trouble.
func passing(err error) bool {
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests
	}
	if cdc.TLSWayOut(err, registryTLS) != "" || errors.Is(err, context.Canceled) {
		return false
	}
	var network *url.Error // a timeout of one request is one too
	return errors.As(err, &network)
}

// isNoSchema reports whether the registry itself says that it has no such schema. A 404 without the registry's own code is that of
// a server that is no registry, or of a proxy.
func isNoSchema(err error) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.ErrorCode == sr.ErrSchemaNotFound.Code
}

// tryRegistry is the way out where what answers does not speak as a registry does.
const tryRegistry = "Try: look whether registry.url is that of a schema registry, and not of something in front of it"

// explain makes one line of an error, with what to do.
func (c *Client) explain(err error) error {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return c.explainNetwork(err)
	}
	said := oneLine(answer.Error())
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the registry refuses us (%d): %s. Try: registry.user and registry.password, and the rights of that user", answer.StatusCode, said)
	case http.StatusNotFound:
		return fmt.Errorf("the registry does not know it (%d): %s. Try: look whether registry.url is that of the registry the topics were written with", answer.StatusCode, said)
	}
	return fmt.Errorf("the registry answers %d: %s. Try: look at the registry's log", answer.StatusCode, said)
}

// explainRegister is explain for a schema that was to be registered: what the registry has against this one schema wraps
// cdc.ErrSchema, what it has against us cdc.ErrRefused; asking again would mend neither. A registry that is read-only has nothing
// against the schema, and will not stay so.
func (c *Client) explainRegister(err error, subject string) error {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return c.explain(err)
	}
	said := oneLine(answer.Error())
	switch {
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %w", cdc.ErrRefused, c.explain(err))
	case answer.ErrorCode == sr.ErrOperationNotPermitted.Code:
		return fmt.Errorf("the registry lets nobody register anything (%d): %s. Try: set its mode, or that of subject %s, back to READWRITE", answer.StatusCode, said, subject)
	case answer.StatusCode == http.StatusConflict:
		return fmt.Errorf("%w (409), which it calls incompatible with an earlier version: %s. Try: set the compatibility of subject %s to NONE at the registry", cdc.ErrSchema, said, subject)
	case answer.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w (422), which it takes for invalid: %s. Try: look at the registry's version, and at the rules for subject %s", cdc.ErrSchema, said, subject)
	}
	return c.explain(err)
}

var registryTLS = cdc.TLSKeys{Address: "registry.url", CA: "registry.tls.ca", Cert: "registry.tls.cert", Use: "https in registry.url"}

func (c *Client) explainNetwork(err error) error {
	way := cdc.TLSWayOut(err, registryTLS)
	switch {
	case way != "":
		return fmt.Errorf("%w: connect to the registry at %s: %w. Try: %s", cdc.ErrRefused, c.at, cause(err), way)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !passing(err):
		return err
	case !passing(err): // its answer was no JSON
		return fmt.Errorf("the registry at %s answered without a usable schema id or schema: %s. %s", c.at, oneLine(err.Error()), tryRegistry)
	}
	return fmt.Errorf("the registry cannot be reached: %w. Try: look whether registry.url is right and the registry runs", err)
}

// cause takes the request, which the caller names shorter, away from an error of it.
func cause(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// oneLine folds an answer, which may be a whole page, into at most 300 bytes of one line.
func oneLine(s string) string {
	const limit = 300
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
