package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"dirtbike/cdc"
)

const (
	// maxAnswer is the largest answer that is read, in bytes. The schema of a table with 1,600 columns, the most that
	// Postgres allows, takes less than a fifth of it.
	maxAnswer = 4 << 20
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
	// maxRedirects is how many redirects of one request are followed.
	maxRedirects = 3
)

// errAnswer says that the registry answered in a way that is refused whatever the request was: asking again gives the
// same.
var errAnswer = errors.New("the registry's answer is refused")

// errTooLarge is errAnswer, because of its size.
var errTooLarge = fmt.Errorf("%w for its size", errAnswer)

// bounded is a transport whose answers end with an error after maxAnswer bytes.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.ContentLength > maxAnswer {
		return nil, errors.Join(tooLarge(r), answer.Body.Close())
	}
	answer.Body = &boundedBody{ReadCloser: answer.Body, left: maxAnswer, request: r}
	return answer, nil
}

// boundedBody fails, instead of ending, where more follows than it may give.
type boundedBody struct {
	io.ReadCloser
	left    int
	request *http.Request
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, tooLarge(b.request)
	}
	b.left -= n
	return n, err
}

func tooLarge(r *http.Request) error {
	return cdc.Failed("the registry at %s://%s answers with more than %d MiB", r.URL.Scheme, r.URL.Host, maxAnswer>>20).Of(errTooLarge).
		Fix("check that registry.url is that of a schema registry, and not of something in front of it")
}

// sameOrigin refuses a redirect to another scheme, host or port: whatever answers there would get our login.
func sameOrigin(next *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case next.URL.Scheme != from.Scheme, !strings.EqualFold(next.URL.Host, from.Host):
		return cdc.Failed("the registry at %s://%s redirects to %s://%s, which would get its login", from.Scheme, from.Host, next.URL.Scheme, next.URL.Host).
			Of(errAnswer).Keeps("the login was not sent there").Fix("set registry.url to an address that answers without a redirect")
	case len(via) > maxRedirects:
		return cdc.Failed("the registry at %s://%s redirects more than %d times", from.Scheme, from.Host, maxRedirects).Of(errAnswer).
			Fix("set registry.url to an address that answers without a redirect")
	}
	return nil
}
