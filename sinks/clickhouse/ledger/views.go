package ledger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ClickHouse/ch-go/proto"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
)

// View is anything that can be queried by its name in the database that people query: theirs or dirtbike's own.
type View struct {
	Name       string // schemas.ClickHouseView of a source table if the view is dirtbike's
	IsView     bool   // false for what has another engine than View
	Generation uint32 // Generation that it shows; 0 if it is not dirtbike's view of a source table, or was edited
	CompleteUp bool   // CompleteUp says that it is the view complete_up_to as this release makes it
	Ours       bool   // Ours says that dirtbike made it, maybe another release, and somebody may have edited it since
	Comment    string // Comment is a person's, or what Postgres has
}

// Views lists what is in the database that people query, by name.
func (l *Ledger) Views(ctx context.Context) ([]View, error) {
	sql := "SELECT name, engine = 'View', toUInt32OrZero(" + marked("generation ([0-9]+)") + "), " + marked("(.*)") + " = " +
		schemas.ClickHouseLiteral(completeMark) + ", " + bears("(.*)") + " != '', comment FROM system.tables WHERE database = " +
		schemas.ClickHouseLiteral(l.database) + " ORDER BY name"
	return query(ctx, l, "which generations the views show", sql, func(v *View) []any {
		return []any{&v.Name, &v.IsView, &v.Generation, &v.CompleteUp, &v.Ours, &v.Comment}
	})
}

// Taken says that something of somebody's has a name that dirtbike wants for a view: it is not replaced, since it may
// hold rows or be needed.
func (l *Ledger) Taken(v View) *cdc.Problem {
	what, in := "table", schemas.ClickHouseIdent(l.database)+"."
	if v.IsView {
		what = "view"
	}
	return cdc.Failed("%s%s is a %s that dirtbike did not make, and does not replace", in, schemas.ClickHouseIdent(v.Name), what).
		Keeps("the rows are in storage").
		Fix("RENAME TABLE %s%s TO %s%s", in, schemas.ClickHouseIdent(v.Name), in, schemas.ClickHouseIdent(v.Name+"_former"))
}

// WasShown reports whether dirtbike has ever made the view of a table.
func (l *Ledger) WasShown(ctx context.Context, table string) (was bool, err error) {
	err = l.Ask(ctx, "ask whether "+table+" had a view", "SELECT count() > 0 FROM "+l.table("shown")+" WHERE `table` = "+schemas.ClickHouseLiteral(table), &was)
	return was, err
}

// The last setting of a view that dirtbike made is its mark: what the view is, and the signature of its name and of
// all of its query before the mark. So neither a query that somebody has edited counts as dirtbike's, nor that of
// another view which was given this one's name. It is in the query because nothing else in a view is out of reach of
// those who may comment on it.
const (
	markBegins = ", log_comment = 'dirtbike "
	signature  = "toString(sipHash64(name, replaceRegexpOne(as_select, ', log_comment = \\'dirtbike [^\\']*\\'$', '')))"
)

// bears is an expression over system.tables: what the mark of a view says, as far as it matches the pattern, or ”.
func bears(pattern string) string {
	return "if(engine = 'View', extract(as_select, " + schemas.ClickHouseLiteral(markBegins+pattern+"'$") + "), '')"
}

// marked is bears for a view that is as it was made; ” for one that is not.
func marked(pattern string) string {
	return "if(definer != '' AND extract(as_select, ' as ([0-9]+)\\'$') = " + signature + ", " + bears(pattern+" as [0-9]+") + ", '')"
}

// ViewDefinition is a view as dirtbike makes it.
type ViewDefinition struct {
	Name    string // in the database that people query
	Columns string // in parentheses, or "": those of the query
	Query   string // with its SETTINGS
	Comment string // the clause, or ""
}

// CreateView makes a view of a generation, in place of what has its name.
func (l *Ledger) CreateView(ctx context.Context, v ViewDefinition, generation uint32) error {
	return l.createView(ctx, v, "generation "+strconv.FormatUint(uint64(generation), 10))
}

// createView makes a view that bears its mark. The signature is that of the query as ClickHouse formats it; should it
// keep the query in another form, of that.
func (l *Ledger) createView(ctx context.Context, v ViewDefinition, of string) error {
	var signed string
	name := schemas.ClickHouseLiteral(v.Name)
	err := l.Ask(ctx, "sign the view "+v.Name, "SELECT toString(sipHash64("+name+", formatQuerySingleLine("+schemas.ClickHouseLiteral(v.Query)+")))", &signed)
	for range 2 {
		if err == nil {
			err = l.replaceView(ctx, v, markBegins+of+" as "+signed+"'")
		}
		if err != nil {
			return err
		}
		var stored string
		err = l.Ask(ctx, "read the view "+v.Name,
			"SELECT any("+signature+") FROM system.tables WHERE database = "+schemas.ClickHouseLiteral(l.database)+" AND name = "+name, &stored)
		if stored == signed {
			break
		}
		signed = stored
	}
	return err
}

// replaceView creates a view. One of its name that somebody has detached would keep the name for ever.
func (l *Ledger) replaceView(ctx context.Context, v ViewDefinition, mark string) error {
	name := schemas.ClickHouseIdent(l.database) + "." + schemas.ClickHouseIdent(v.Name)
	doing := fmt.Sprintf("create the view %s.%s", l.database, v.Name)
	create := "CREATE OR REPLACE VIEW " + name + v.Columns + " DEFINER = CURRENT_USER SQL SECURITY DEFINER AS " + v.Query + mark + v.Comment
	err := l.Exec(ctx, doing, create)
	if errcode.Of(err) == proto.ErrTableAlreadyExists {
		if attached := l.Exec(ctx, "attach the view "+l.database+"."+v.Name, "ATTACH TABLE "+name); attached != nil {
			return err
		}
		err = l.Exec(ctx, doing, create)
	}
	return err
}
