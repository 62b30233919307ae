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

// temporary reports whether trying again may help: the network, or the registry's own trouble.
func temporary(err error) bool {
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests
	}
	if cdc.TLSWayOut(err, registryTLS) != "" || errors.Is(err, context.Canceled) || errors.Is(err, errAnswer) {
		return false
	}
	var network *url.Error // a timeout of one request is one too
	return errors.As(err, &network)
}

// isNoSchema reports whether the registry itself says that it has no such schema. A 404 without the registry's own code
// comes from a server that is no registry, or from a proxy.
func isNoSchema(err error) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.ErrorCode == sr.ErrSchemaNotFound.Code
}

// unusable makes the problem of an answer that is not a registry's.
func (c *Client) unusable(what string) *cdc.Problem {
	return cdc.Failed("the registry at %s answered without a usable %s", c.at, what).
		Fix("check that registry.url is that of a schema registry, and not of something in front of it")
}

// explain makes a problem of an error, with a way out.
func (c *Client) explain(err error) error {
	if answer := (*sr.ResponseError)(nil); errors.As(err, &answer) {
		return explainAnswer(answer)
	}
	if refused := (*cdc.Problem)(nil); errors.Is(err, errAnswer) && errors.As(err, &refused) {
		return refused
	}
	return c.explainNetwork(err)
}

// explainAnswer makes a problem of the registry's answer.
func explainAnswer(answer *sr.ResponseError) *cdc.Problem {
	said := oneLine(answer.Error())
	switch {
	case refusesUs(answer):
		return cdc.Failed("the registry refuses us (%d): %s", answer.StatusCode, said).
			Fix("check registry.user and registry.password, and the rights of that user")
	case answer.StatusCode == http.StatusNotFound:
		return cdc.Failed("the registry does not know it (%d): %s", answer.StatusCode, said).Fix(sameRegistry)
	}
	return cdc.Failed("the registry answers %d: %s", answer.StatusCode, said).Fix("read the registry's log")
}

// sameRegistry is the way out if the registry lacks a schema that records name.
const sameRegistry = "check that registry.url is that of the registry the topics were written with"

// refusesUs reports whether the answer is about our login or rights.
func refusesUs(answer *sr.ResponseError) bool {
	return answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
}

// explainRegister is explain for a schema that was to be registered. An answer about this schema or this subject is a
// cdc.TableTrouble: a refusal of this schema is cdc.ErrSchema; what may lie with every subject (a right, a mode, a
// registry that answers and fails) is Shared. A refusal of our login is cdc.ErrRefused.
func (c *Client) explainRegister(err error, subject string) error {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return c.explain(err)
	}
	said := oneLine(answer.Error())
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		return explainAnswer(answer).Of(cdc.ErrRefused)
	case refusesUs(answer):
		return shared(explainAnswer(answer).Of(cdc.ErrRefused))
	case answer.StatusCode == http.StatusNotFound && answer.ErrorCode == sr.ErrSubjectNotFound.Code:
		// registering makes a subject that is not there
		at, _, _ := strings.Cut(c.at, ", ")
		return &cdc.TableTrouble{Err: cdc.Failed("subject %s was deleted at the registry, and what was deleted is kept there, so that it takes no schema (404): %s", subject, said).
			Fix("delete it for good: curl -X DELETE '%s/subjects/%s?permanent=true'", strings.TrimRight(at, "/"), url.PathEscape(subject))}
	case answer.ErrorCode == sr.ErrOperationNotPermitted.Code:
		return shared(cdc.Failed("the registry accepts no schema (%d): %s", answer.StatusCode, said).
			Fix("set its mode, or that of subject %s, back to READWRITE", subject))
	case answer.StatusCode == http.StatusConflict:
		return incompatible(subject, "an earlier version", said)
	case answer.StatusCode == http.StatusUnprocessableEntity:
		return &cdc.TableTrouble{Lasting: true, Err: cdc.Failed("the registry finds it invalid (422): %s", said).Of(cdc.ErrSchema).
			Fix("check the registry's version, and the rules for subject %s", subject)}
	}
	return shared(explainAnswer(answer))
}

// shared makes an answer about one subject that may be the same about all.
func shared(p *cdc.Problem) error { return &cdc.TableTrouble{Shared: true, Err: p} }

// incompatible makes the problem of a schema that the subject's compatibility does not let in.
func incompatible(subject, with, said string) error {
	return &cdc.TableTrouble{Lasting: true, Err: cdc.Failed("the registry finds it incompatible with %s under subject %s: %s", with, subject, said).Of(cdc.ErrSchema).
		Fix("set the compatibility of subject %s to NONE at the registry", subject)}
}

var registryTLS = cdc.TLSKeys{Address: "registry.url", CA: "registry.tls.ca", Cert: "registry.tls.cert", Use: "https in registry.url"}

func (c *Client) explainNetwork(err error) error {
	way := cdc.TLSWayOut(err, registryTLS)
	why := err
	if request := (*url.Error)(nil); errors.As(err, &request) {
		why = request.Err // its URL is named shorter, and without what follows a question mark
	}
	switch {
	case way != "":
		return cdc.Refused("connect to the registry at %s", c.at).Because(why).Fix("%s", way)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !temporary(err):
		return err
	case !temporary(err): // its answer was no JSON
		return c.unusable("schema id or schema").Because(errors.New(oneLine(c.hidden(err.Error()))))
	}
	return cdc.Failed("the registry cannot be reached").Because(fmt.Errorf("%s: %w", c.at, why)).Fix("check that registry.url is right and the registry runs")
}

// hidden is a text without what must not be shown.
func (c *Client) hidden(text string) string {
	for _, secret := range c.hide {
		text = strings.ReplaceAll(text, secret, "")
	}
	return text
}

// oneLine shortens an answer, which may be a whole page, to one line of at most 300 bytes.
func oneLine(s string) string {
	const limit = 300
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
