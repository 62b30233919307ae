package registry

import (
	"context"
	"crypto/tls"
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
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || errors.Is(err, context.Canceled) {
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
	case http.StatusConflict:
		return fmt.Errorf("the registry calls it incompatible with an earlier version: %s. "+
			"Try: "+cdc.StartAnew+", or look at the subject's compatibility level (BACKWARD is enough)", said)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the registry refuses us (%d): %s. Try: registry.user and registry.password", answer.StatusCode, said)
	case http.StatusNotFound:
		return fmt.Errorf("the registry does not know it (%d): %s. Try: look whether registry.url is that of the registry the topics were written with", answer.StatusCode, said)
	case http.StatusUnprocessableEntity:
		return fmt.Errorf("the registry takes it for invalid: %s. Try: look at the registry's version and mode", said)
	}
	return fmt.Errorf("the registry answers %d: %s. Try: look at the registry's log", answer.StatusCode, said)
}

func (c *Client) explainNetwork(err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("%w. Try: registry.tls.ca", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !passing(err):
		return err
	case !passing(err): // its answer was no JSON
		return fmt.Errorf("the registry at %s answered without a usable schema id or schema: %s. %s", c.at, oneLine(err.Error()), tryRegistry)
	}
	return fmt.Errorf("the registry cannot be reached: %w. Try: look whether registry.url is right and the registry runs", err)
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
