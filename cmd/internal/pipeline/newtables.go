package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/config"
)

// obstacles says what would keep a capture that starts now from tables that source.tables names, and what fixes it, by
// "schema.table"; a table without an entry would be captured. It asks the catalog as capture does, and for the rights
// of the user that streams from the slot, or else of its own.
func obstacles(ctx context.Context, c *config.Config) (map[string]*cdc.Problem, error) {
	policies, _, err := (&Trial{Keyless: c.HashKeyMissing()}).policies(c)
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
	oids := make([]uint32, len(listed))
	for i, t := range listed {
		oids[i] = t.OID
	}
	publication, err := postgres.ReadPublication(ctx, conn, c.Source.Publication, oids)
	if err != nil {
		return nil, err
	}
	rights, err := postgres.ReadRights(ctx, conn, c.Source.Publication, c.Source.Slot, oids)
	if err != nil {
		return nil, err
	}
	out := map[string]*cdc.Problem{}
	for _, t := range listed {
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

// problem has one way out, which names each role once, in front of what is for it to do. Statements are a superuser's
// as soon as one of them is: a superuser may do all. What is for no particular role comes first; after a role's
// commands it would seem to be that role's.
func (o *obstacle) problem() *cdc.Problem {
	super := slices.ContainsFunc(o.steps, func(s cdc.Remedy) bool { return s.By == superuser })
	slices.SortStableFunc(o.steps, func(a, b cdc.Remedy) int { return rank(a) - rank(b) })
	var groups []cdc.Remedy
	for _, s := range o.steps {
		if super && s.By != "" {
			s.By = superuser
		}
		at := slices.IndexFunc(groups, func(g cdc.Remedy) bool { return g.By == s.By })
		switch {
		case at < 0:
			groups = append(groups, s)
		case strings.Contains(groups[at].Command, inConfig): // it is said once
			groups[at].Command += "; " + strings.TrimPrefix(s.Command, inConfig)
		default:
			groups[at].Command += "; " + s.Command
		}
	}
	p := cdc.Failed("%s", strings.Join(o.why, "; "))
	if len(groups) == 0 {
		return p
	}
	way := groups[0]
	for _, g := range groups[1:] {
		way.Command += "; as " + g.By + ": " + g.Command
	}
	p.Try = []cdc.Remedy{way}
	return p
}

// rank orders steps: those for anybody, those in the config, those of a role.
func rank(step cdc.Remedy) int {
	switch {
	case step.By != "":
		return 2
	case strings.HasPrefix(step.Command, inConfig):
		return 1
	}
	return 0
}

// obstaclesOf is the zero value if nothing keeps the table out. r is nil for one that is gone by now.
func obstaclesOf(t *cdc.Table, r *postgres.Rights, p *postgres.Publication) (o obstacle) {
	for _, err := range append(eachProblem(t.Refused), eachProblem(t.BlocksStart)...) {
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
		o.add(r.Role+" may not read it", tablesOwner, "GRANT SELECT ON TABLE "+r.Table+" TO "+r.Role)
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

// eachProblem takes an error that is nothing but several apart.
func eachProblem(err error) (out []error) {
	if err == nil {
		return nil
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		several, is := inner.(interface{ Unwrap() []error })
		if !is {
			continue
		}
		for _, one := range several.Unwrap() {
			out = append(out, eachProblem(one)...)
		}
		if joined := cdc.OneLine(out...); joined != nil && joined.Error() == strings.ReplaceAll(err.Error(), "\n", "; ") {
			return out
		}
		break
	}
	return []error{err}
}
