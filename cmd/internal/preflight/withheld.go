package preflight

import (
	"fmt"
	"strings"

	"dirtbike/cdc/postgres"
)

// columnLists is the first version of Postgres whose publications have column lists.
const columnLists = 150000

// judgeWithheld says which withheld columns Postgres sends all the same, since capture applies the policies, and
// prints what keeps them in Postgres: rights to columns, for the copy, and a column list, for the stream. That is a
// choice, and so no warning: a table whose column list changes is copied again.
func judgeWithheld(p *part, s *server, tables []table) {
	const slug = "postgres-withheld"
	columns := 0
	var names, lines []string
	for _, t := range tables {
		list := postgres.NeededColumns(t.listed)
		sent := len(t.listed.Columns) - len(t.listed.Needs)
		if list == "" || sent == 0 {
			continue
		}
		columns, names = columns+sent, append(names, t.Name)
		lines = append(lines, "REVOKE SELECT ON TABLE "+t.Name+" FROM "+s.Role+";", "GRANT SELECT"+list+" ON TABLE "+t.Name+" TO "+s.Role+";")
		if s.Version >= columnLists && t.Identity != "f" {
			lines = append(lines, fmt.Sprintf("ALTER PUBLICATION %[1]s DROP TABLE %[2]s;", s.Publication, t.Name),
				fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE ONLY %s%s;", s.Publication, t.Name, list))
		}
	}
	q := question{slug: slug, subject: "column lists", good: "no withheld column is sent by Postgres"}
	if columns > 0 {
		q.good = fmt.Sprintf("Postgres sends %s of %s that capture then withholds; the statements below keep them in Postgres. "+
			"A table whose column list changes is copied again", count(columns, "column"), count(len(names), "table"))
		q.advice = strings.Join(lines, "\n")
	}
	p.judge(q)
}
