package ledger

import (
	"context"
	"slices"
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
	// ExactTexts says that it has the column _inexact (rule 31).
	ExactTexts bool
	// Generation that it shows; 0 if it is not dirtbike's view of a source table.
	Generation uint32
}

// Views lists what is in the database that people query, by name.
func (l *Ledger) Views(ctx context.Context) ([]View, error) {
	database := schemas.ClickHouseLiteral(l.database)
	sql := "SELECT name, engine = 'View', name IN (SELECT table FROM system.columns WHERE database = " + database + " AND name = '" + schemas.ColInexact +
		"'), comment FROM system.tables WHERE database = " + database + " ORDER BY name"
	return query(ctx, l, "which generations the views show", sql, func(rows driver.Rows) (v View, err error) {
		var isView, exactTexts uint8
		var comment string
		err = rows.Scan(&v.Name, &isView, &exactTexts, &comment)
		v.IsView, v.ExactTexts = isView == 1, exactTexts == 1
		if number, ok := strings.CutPrefix(comment, ViewComment); ok && v.IsView {
			n, _ := strconv.ParseUint(number, 10, 32) // 0 if it is no number
			v.Generation = uint32(n)
		}
		return v, err
	})
}

// Storage is the table of the newest generation of a source table.
type Storage struct {
	// View is schemas.ClickHouseView of the source table.
	View       string
	Generation uint32
	// Rows that are stored, outranked and deleted ones included; Parts that a query reads.
	Rows, Parts int64
}

// NewestStorage lists the newest generation of each source table, without reading a row; none where a loader has never
// run.
func (l *Ledger) NewestStorage(ctx context.Context) ([]Storage, error) {
	sql := "SELECT name, toInt64(ifNull(total_rows, 0)), toInt64(ifNull(active_parts, 0)) FROM system.tables WHERE database = " +
		schemas.ClickHouseLiteral(schemas.StorageDatabase(l.database))
	all, err := query(ctx, l, "what is stored", sql, func(rows driver.Rows) (s Storage, err error) {
		var name string
		err = rows.Scan(&name, &s.Rows, &s.Parts)
		s.View, s.Generation = splitStorage(name)
		return s, err
	})
	newest := map[string]uint32{}
	for _, s := range all {
		newest[s.View] = max(newest[s.View], s.Generation)
	}
	return slices.DeleteFunc(all, func(s Storage) bool { return s.Generation == 0 || s.Generation < newest[s.View] }), err
}

// splitStorage takes the name that schemas.ClickHouseStorage made apart; generation 0 is any other table.
func splitStorage(name string) (view string, generation uint32) {
	at := strings.LastIndex(name, "__g")
	if at < 0 {
		return "", 0
	}
	n, err := strconv.ParseUint(name[at+len("__g"):], 10, 32)
	if err != nil {
		return "", 0
	}
	return name[:at], uint32(n)
}
