package clickhouse

import (
	"strconv"
	"strings"

	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// createView is the view that people query. FINAL is applied before the conditions, so that an outranked row can never show;
// the cut is a number that is read once per query, the leaves' cuts a map that only rows of a leaf look into. Rows below the
// generation's own cut came between its open and its end: if the snapshot does not have them they were deleted.
//
// Nothing in ClickHouse keeps a loader that was late from putting an older generation's view in place of a newer one's (rule 13:
// upwards only). Such a view refuses to answer, since the newer generation is recorded before it is called exact; checkViews puts
// it right.
func (l *Loader) createView(s *storage) string {
	number := strconv.FormatUint(uint64(s.generation), 10)
	from := ledger.Version(s.topic.Generation(s.generation).Cut()).String()
	cuts := l.ledger.CutsSelect(s.topic.Name, s.generation)
	var b strings.Builder
	b.WriteString("CREATE OR REPLACE VIEW " + schemas.ClickHouseIdent(l.o.Database) + "." + schemas.ClickHouseIdent(schemas.ClickHouseView(s.topic.Schema, s.topic.Rel)) +
		" DEFINER = CURRENT_USER SQL SECURITY DEFINER AS WITH (SELECT max(version) FROM " + cuts + " WHERE leaf = 0) AS _dirtbike_cut," +
		" (SELECT maxMap(map(leaf, version)) FROM " + cuts + ") AS _dirtbike_leaves," +
		" " + l.ledger.ReplacedSelect(s.topic.Name, s.generation) + " AS _dirtbike_replaced SELECT ")
	for i := range s.table.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(viewColumn(&s.table.Columns[i]))
	}
	if s.table.NeedsInexact() {
		b.WriteString(", s." + schemas.ColInexact + " AS " + schemas.ColInexact)
	}
	b.WriteString(" FROM " + s.name + " AS s FINAL WHERE _dirtbike_replaced = 0 AND s." + schemas.ColDeleted + " = 0 AND s." + schemas.ColVersion + " >= toUInt128('" + from + "') AND s." + schemas.ColVersion + " > _dirtbike_cut" +
		" AND (s." + schemas.ColLeaf + " = 0 OR s." + schemas.ColVersion + " > _dirtbike_leaves[s." + schemas.ColLeaf + "]) COMMENT " + schemas.ClickHouseLiteral(viewComment+number))
	return b.String()
}

// viewColumn shows a year no earlier than 90 years ago (rule 29): birth years beyond would tell ages over 89.
func viewColumn(c *schemas.TableColumn) string {
	name := schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))
	switch c.Type.Kind {
	case schemas.KindYear:
		return "if(isNull(s." + name + "), s." + name + ", greatest(s." + name + ", toInt32(toYear(now('UTC')) - 90))) AS " + name
	case schemas.KindBool, schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindFloat4, schemas.KindFloat8,
		schemas.KindNumeric, schemas.KindNumericText, schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ, schemas.KindUUID,
		schemas.KindBytea, schemas.KindText, schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindArray, schemas.KindOther:
		return "s." + name + " AS " + name
	case schemas.KindInvalid:
	}
	panic("clickhouse: view of " + c.Type.Kind.String())
}
