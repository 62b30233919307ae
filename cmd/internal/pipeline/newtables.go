package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
)

// obstacles says what would keep a capture that starts now from tables that source.tables names, and what fixes it, by
// "schema.table"; a table without an entry would be captured. It reads the catalog as capture does, and the rights of
// the user that streams from the slot, otherwise its own.
func obstacles(ctx context.Context, c *config.Config, stored stateReader) (map[string]*cdc.Problem, error) {
	policies, _, err := trialPolicies(c)
	if err != nil {
		return nil, err
	}
	tables := catalog.New(tableOptions(c, MonitorLogin(c), policies, nil))
	defer tables.Close(ctx)
	listed, err := tables.List(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) // nothing is open on it
	oids := postgres.OIDs(listed)
	publication, err := postgres.ReadPublication(ctx, conn, c.Source.Publication, oids)
	if err != nil {
		return nil, err
	}
	rights, err := postgres.ReadRights(ctx, conn, c.Source.Publication, c.Source.Slot, oids, listed...)
	if err != nil {
		return nil, err
	}
	state, err := stored(ctx)
	if err != nil || state == nil {
		state = &cdc.State{} // what is known is said
	}
	out := map[string]*cdc.Problem{}
	for _, t := range listed {
		if why := capture.LeftOut(t, state); t.Refused == nil && t.BlocksStart == nil {
			t.BlocksStart = why
		}
		if o := obstaclesOf(t, rights[t.OID], publication); len(o.why) > 0 {
			out[t.FullName()] = o.problem()
		}
	}
	return out, nil
}

// obstacle is what keeps one table out, and what fixes it: all steps are needed.
type obstacle struct {
	why   []string
	steps []cdc.Remedy
}

// Who does it, where the catalog names no role.
const (
	tablesOwner = "the tables' owner"
	schemaOwner = "the schema's owner"
	superuser   = "a superuser"
	inConfig    = "in the config: "
)

func (o *obstacle) add(why, by, command string) {
	o.why = append(o.why, why)
	if step := (cdc.Remedy{By: by, Command: command}); command != "" && !slices.Contains(o.steps, step) {
		o.steps = append(o.steps, step)
	}
}

// problem has one way out, which names each role once, in front of its statements. If one needs a superuser, all are
// given to the superuser. What no particular role has to do comes first, since after a role's commands it would seem to
// be that role's; of that, the config comes last.
func (o *obstacle) problem() *cdc.Problem {
	if slices.ContainsFunc(o.steps, func(s cdc.Remedy) bool { return s.By == superuser }) {
		for i := range o.steps {
			if o.steps[i].By != "" {
				o.steps[i].By = superuser
			}
		}
	}
	slices.SortStableFunc(o.steps, func(a, b cdc.Remedy) int {
		return cmp.Or(strings.Compare(a.By, b.By), cmp.Compare(strings.Count(a.Command, inConfig), strings.Count(b.Command, inConfig)))
	})
	p := cdc.Failed("%s", strings.Join(o.why, "; "))
	for i, s := range o.steps {
		switch {
		case i == 0:
			p.Try = []cdc.Remedy{s}
		case s.By != o.steps[i-1].By:
			p.Try[0].Command += "; as " + s.By + ": " + s.Command
		case strings.HasPrefix(s.Command, inConfig) && strings.HasPrefix(o.steps[i-1].Command, inConfig): // it is said once
			p.Try[0].Command += "; " + strings.TrimPrefix(s.Command, inConfig)
		default:
			p.Try[0].Command += "; " + s.Command
		}
	}
	return p
}

// obstaclesOf is the zero value if nothing keeps the table out. r is nil for one that is gone by now.
func obstaclesOf(t *cdc.Table, r *postgres.Rights, p *postgres.Publication) (o obstacle) {
	for _, err := range append(cdc.Several(t.Refused), cdc.Several(t.BlocksStart)...) {
		in := ""
		if problem := (*config.Error)(nil); t.RefusedByConfig || errors.As(err, &problem) {
			in = inConfig
		}
		said := cdc.Explain(err)
		command := strings.TrimPrefix(cdc.WriteRemedies(said.Remedies()), "Try: ")
		if command != "" {
			command = in + command
		}
		o.add(strings.TrimPrefix(said.What, "table "+t.FullName()+" cannot be captured: "), "", command)
	}
	if r == nil {
		return o
	}
	if r.Hidden {
		o.add("row-level security hides rows of it from "+r.Role, superuser, "ALTER ROLE "+r.Role+" BYPASSRLS")
	}
	if p.Found && p.PublishedBy(t.OID) == nil && !r.Joins {
		o.add("it is not in publication "+p.SQLName+" and "+r.Role+" may not add it", joiner(r), "ALTER PUBLICATION "+p.SQLName+" ADD TABLE ONLY "+r.Table)
	}
	if !r.Uses {
		by := tablesOwner
		if !r.OwnerOpens {
			by = schemaOwner
		}
		o.add(r.Role+" may not use schema "+r.Schema, by, "GRANT USAGE ON SCHEMA "+r.Schema+" TO "+r.Role)
	}
	if !r.Selects {
		o.add(r.Role+" may not read it", tablesOwner, r.GrantSelect(t))
	}
	return o
}

// joiner is who may put the table into the publication: it takes the rights of both owners.
func joiner(r *postgres.Rights) string {
	switch {
	case r.OwnerJoins:
		return tablesOwner
	case r.Publisher != "":
		return r.Publisher + ", the publication's owner, or a superuser"
	}
	return superuser
}
