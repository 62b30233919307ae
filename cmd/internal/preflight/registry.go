package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/schemas/registry"
)

// comparers is how many schemas are compared at the same time.
const comparers = 8

// checkRegistry asks whether the registry would accept our schemas.
func (r *run) checkRegistry(ctx context.Context, p *part) {
	c := r.config.Registry
	settings, err := c.TLS.Client()
	if err != nil {
		p.fail("registry-connect", "registry.tls", "", "%v", err)
		return
	}
	client, err := registry.New([]string{c.URL.Reveal()}, registry.Options{
		User: c.User, Password: c.Password.Reveal(), TLS: settings, Timeout: connectTime, Patience: time.Millisecond,
	})
	if err != nil {
		p.fail("registry-connect", "registry.url", "", "%v", err)
		return
	}
	subjects, err := client.Ping(ctx, r.config.Kafka.Prefix+".")
	if err != nil {
		p.connectError(r.where(partRegistry), err)
		return
	}
	has := "more subjects than it can list"
	if subjects >= 0 {
		has = count(subjects, "subject") + " of this pipeline"
	}
	p.ok("registry-connect", r.where(partRegistry), "it answers, and has %s", has)
	q := question{slug: "registry-mode", subject: r.where(partRegistry), good: "it takes schemas", command: r.put("/mode", "mode", "READWRITE")}
	if err := client.Writable(ctx); err != nil {
		q.bad = explain(err).What
	}
	p.judge(q)
	r.compareSchemas(ctx, p, client)
}

// compareSchemas compares the schemas that a start would register with those in the registry.
func (r *run) compareSchemas(ctx context.Context, p *part, client *registry.Client) {
	for _, t := range r.captured(ctx) {
		if _, err := r.trial.Tables.Encoder(ctx, t); err != nil {
			p.error("registry-schemas", t.FullName(), fmt.Errorf("%w: %w", cdc.ErrRefused, err))
		}
	}
	r.wanted.mu.Lock()
	wanted := r.wanted.schemas
	r.wanted.mu.Unlock()
	errs := make([]error, len(wanted))
	var group errgroup.Group
	group.SetLimit(comparers)
	for i, s := range wanted {
		group.Go(func() error {
			errs[i] = client.Fits(ctx, s.subject, s.schema)
			return nil
		})
	}
	_ = group.Wait() // each has an error of its own
	for i, err := range errs {
		switch {
		case errors.Is(err, cdc.ErrSchema):
			p.fail("registry-schemas", wanted[i].subject, r.put("/config/"+url.PathEscape(wanted[i].subject), "compatibility", "NONE"), "%s", explain(err).What)
		case err != nil:
			p.error("registry-schemas", wanted[i].subject, err)
			return // the next one would have the same answer
		}
	}
	if errors.Join(errs...) == nil && len(wanted) > 0 {
		p.ok("registry-schemas", r.config.Kafka.Prefix+".*", "%s would be taken", count(len(wanted), "schema"))
	}
}

// put is the command that changes a setting of the registry; curl asks for the password.
func (r *run) put(path, key, value string) string {
	body, _ := json.Marshal(map[string]string{key: value}) // texts can always be written
	line := "curl -fsS -X PUT -H 'Content-Type: application/vnd.schemaregistry.v1+json' --data " + console.Shell(string(body))
	user := r.config.Registry.User
	if u, err := url.Parse(r.config.Registry.URL.Reveal()); user == "" && err == nil && u.User != nil {
		user = u.User.Username()
	}
	if user != "" {
		line += " --user " + console.Shell(user)
	}
	return line + " " + console.Shell(strings.TrimRight(withoutUser(r.config.Registry.URL.Reveal()), "/")+path)
}

// withoutUser is an address without user, password and everything else that it may hold.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
