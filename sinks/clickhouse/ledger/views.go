package ledger

import (
	"context"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/schemas"
)

// ViewComment begins the comment of the view of a source table; the number of the generation that it shows follows.
const ViewComment = "dirtbike generation "

// View is anything that can be queried by its name in the database that people query: theirs or dirtbike's own.
type View struct {
	// Name is schemas.ClickHouseView of a source table if the view is dirtbike's.
	Name string
	// IsView is false for what has another engine than View.
	IsView bool
	// Generation that it shows; 0 if it is not dirtbike's view of a source table.
	Generation uint32
}

// Views lists what is in the database that people query, by name.
func (l *Ledger) Views(ctx context.Context) ([]View, error) {
	sql := "SELECT name, engine = 'View', comment FROM system.tables WHERE database = " + schemas.ClickHouseLiteral(l.database) + " ORDER BY name"
	return query(ctx, l, "which generations the views show", sql, func(rows driver.Rows) (v View, err error) {
		var isView uint8
		var comment string
		err = rows.Scan(&v.Name, &isView, &comment)
		v.IsView = isView == 1
		if number, ok := strings.CutPrefix(comment, ViewComment); ok && v.IsView {
			n, _ := strconv.ParseUint(number, 10, 32) // 0 if it is no number
			v.Generation = uint32(n)
		}
		return v, err
	})
}
