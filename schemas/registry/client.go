package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/sr"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Options say how to reach the registry. The zero value is plain HTTP without credentials.
type Options struct {
	// User and Password for basic authentication; without a User, those in the first URL that has some.
	User, Password string
	// TLS for https URLs; nil means the system's authorities.
	TLS     *tls.Config
	Timeout time.Duration // of one request; 0 means 10 s
	// Patience is how long a request is tried again, without a log line, while the registry cannot be reached or fails
	// itself (5xx, 429); 0 means 3 s. Both legs retry without limit themselves, and log why.
	Patience time.Duration

	hide []string // what follows a question mark in the URLs
}

// dialTimeout is how long one connection may take to be made.
const dialTimeout = 3 * time.Second

// Client is a schema registry with a cache in front. It is safe for concurrent use.
type Client struct {
	sr       *sr.Client
	idle     func()   // closes idle connections
	at       string   // the URLs, for errors
	hide     []string // what follows a question mark in them
	patience time.Duration

	ids   cache[registered, int]
	texts cache[int, string] // schema by id
}

// registered is a subject and schema that has an id.
type registered struct{ subject, schema string }

var _ schemas.Registry = (*Client)(nil)

// New makes a client; urls are tried in order. It does not connect.
func New(urls []string, o Options) (*Client, error) {
	plain, shown, err := o.takeCredentials(urls)
	if err != nil {
		return nil, err
	}
	// The transport is this client's own, so that its TLS settings are no other client's.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = o.TLS
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	transport.MaxResponseHeaderBytes, transport.DisableCompression = maxHeader, true
	opts := []sr.ClientOpt{
		sr.URLs(plain...), sr.UserAgent("dirtbike"),
		sr.HTTPClient(&http.Client{Timeout: cmp.Or(o.Timeout, 10*time.Second), Transport: bounded{transport}, CheckRedirect: sameOrigin}),
	}
	if o.User != "" {
		opts = append(opts, sr.BasicAuth(o.User, o.Password))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return &Client{
		sr: client, idle: transport.CloseIdleConnections, at: strings.Join(shown, ", "), hide: o.hide, patience: cmp.Or(o.Patience, 3*time.Second),
	}, nil
}

// takeCredentials moves user and password out of the URLs, so that no error can show them. shown are the URLs without
// what follows a question mark, which may be a token.
func (o *Options) takeCredentials(urls []string) (plain, shown []string, err error) {
	if len(urls) == 0 {
		return nil, nil, cdc.Failed("schema registry: no URL").Fix(`registry: {url: "http://registry:8081"}`)
	}
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, nil, cdc.Failed("schema registry: URL %d is none of http or https", i+1).Fix("http://registry:8081")
		}
		if u.User != nil && o.User == "" {
			o.User = u.User.Username()
			o.Password, _ = u.User.Password()
		}
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		plain = append(plain, u.String())
		if u.RawQuery != "" {
			o.hide = append(o.hide, "?"+u.RawQuery)
		}
		u.RawQuery = ""
		shown = append(shown, u.String())
	}
	return plain, shown, nil
}

// Close closes idle connections; the client stays usable, and connects again.
func (c *Client) Close() { c.idle() }

// Register stores the schema under the subject, or finds it there, and gives its id. An error is cdc.ErrSchema if the
// registry does not take this schema, and cdc.ErrRefused if it refuses our login.
func (c *Client) Register(ctx context.Context, subject, schema string) (int, error) {
	key := registered{subject, schema}
	if id, ok := c.ids.load(key); ok {
		return id, nil
	}
	id, err := retry(ctx, c.patience, func() (int, error) {
		const assigned = -1 // the registry assigns id and version
		return c.sr.RegisterSchema(ctx, subject, sr.Schema{Schema: schema, Type: sr.TypeAvro}, assigned, assigned)
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("register schema under subject %s: %w", subject, c.explainRegister(err, subject))
	case !usable(id):
		return 0, fmt.Errorf("register schema under subject %s: %w", subject, c.unusable("schema id"))
	}
	c.ids.store(key, id, len(subject)+len(schema))
	c.texts.store(id, schema, len(schema))
	return id, nil
}

// Login asks the registry for something that needs no right of its own, so that it has to check who asks. An error is
// cdc.ErrRefused if it refuses our login; otherwise it could not be reached.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.sr.SupportedTypes(ctx)
	var answer *sr.ResponseError
	switch {
	case errors.As(err, &answer) && refusesUs(answer):
		return explainAnswer(answer).Of(cdc.ErrRefused)
	case err == nil, errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError: // not every registry knows this request
		return nil
	}
	return c.explain(err)
}

// usable reports whether an id is one that a registry gives and a record can carry: 1 to 2^31−1.
func usable(id int) bool { return id >= 1 && id <= math.MaxInt32 }

// Schema gives the Avro schema of an id; an error is schemas.ErrNoSchema if the registry says that it has
// none, or has one that is not Avro, or if no registry can have the id.
func (c *Client) Schema(ctx context.Context, id int) (string, error) {
	if !usable(id) {
		return "", noSchema(id, cdc.Failed("ids are 1 to %d", math.MaxInt32).Fix(otherWriter))
	}
	if text, ok := c.texts.load(id); ok {
		return text, nil
	}
	s, err := retry(ctx, c.patience, func() (sr.Schema, error) { return c.sr.SchemaByID(ctx, id) })
	switch {
	case isNoSchema(err):
		return "", noSchema(id, cdc.Failed("it does not know the id").Fix(sameRegistry))
	case err != nil:
		return "", fmt.Errorf("read schema %d: %w", id, c.explain(err))
	case s.Schema == "":
		return "", fmt.Errorf("read schema %d: %w", id, c.unusable("schema"))
	case s.Type != sr.TypeAvro || len(s.References) > 0:
		return "", noSchema(id, cdc.Failed("it is of another kind, or refers to others").Fix(otherWriter))
	}
	c.texts.store(id, s.Schema, len(s.Schema))
	return s.Schema, nil
}

// otherWriter is the way out where a record names a schema that this product does not write.
const otherWriter = "find out what else writes to the topic"

func noSchema(id int, why *cdc.Problem) error {
	return fmt.Errorf("read schema %d: %w", id, why.Of(schemas.ErrNoSchema))
}

// retry calls f until it succeeds, fails for good, or patience or ctx end.
func retry[T any](ctx context.Context, patience time.Duration, f func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 5*time.Second
	return backoff.Retry(ctx, func() (T, error) {
		v, err := f()
		if err != nil && !temporary(err) {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(patience))
}
