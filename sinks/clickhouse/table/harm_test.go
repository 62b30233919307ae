package table

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/schemas"
)

// TestHarm: what loses or changes values of a column of ours, and nothing else.
func TestHarm(t *testing.T) {
	contract := &schemas.Table{Schema: "public", Name: "t", Key: []int{0}, Columns: []schemas.TableColumn{
		{Name: "id", Type: schemas.Type{Kind: schemas.KindInt4, Name: "int4"}, Key: true, NotNull: true},
		{Name: "v", Type: schemas.Type{Kind: schemas.KindText, Name: "text"}},
		{Name: "paid", Type: schemas.Type{Kind: schemas.KindNumeric, Name: "numeric", Precision: 10, Scale: 2}},
		{Name: "at", Type: schemas.Type{Kind: schemas.KindTimestampTZ, Name: "timestamptz"}},
		{Name: "a b`c", Type: schemas.Type{Kind: schemas.KindText, Name: "text"}},
	}}
	for _, c := range []struct {
		want     string
		away     bool
		commands []string
	}{
		{"", false, nil},
		{"DROP COLUMN v", false, []string{"DROP COLUMN v)"}},
		{"DROP COLUMN v", false, []string{"DROP COLUMN IF EXISTS v"}},
		{"DROP COLUMN a b`c", false, []string{"DROP COLUMN `a b\\`c`)"}},
		{"CLEAR COLUMN v", false, []string{"CLEAR COLUMN v IN PARTITION 1)"}},
		{"DROP COLUMN x", false, []string{"RENAME COLUMN v TO x)", "DROP COLUMN x)"}},
		{"MODIFY COLUMN v", false, []string{"MODIFY COLUMN `v` Nullable(FixedString(20)))", "MODIFY COLUMN `v` Nullable(String))"}},
		{"UPDATE", false, []string{"UPDATE v = 'secret' WHERE id = 1)"}},
		{"UPDATE", false, []string{"UPDATE _row_exists = 0 WHERE id = 1)"}},
		{"DELETE", false, []string{"DELETE WHERE v = 'secret')"}},
		{"MATERIALIZE TTL", false, []string{"MATERIALIZE TTL)"}},
		{"DROP COLUMN _deleted", false, []string{"DROP COLUMN _deleted)"}},
		{"", false, []string{"MODIFY COLUMN `v` Nullable(String))", "MODIFY COLUMN `v` String COMMENT 'x')", "MODIFY COLUMN `note` Int8)"}},
		{"", false, []string{"RENAME COLUMN v TO x)", "RENAME COLUMN x TO v)", "DROP COLUMN note)", "CLEAR COLUMN note)"}},
		{"", true, []string{"RENAME COLUMN v TO x)"}},
		{"", false, []string{"MODIFY COLUMN `paid` Nullable(Decimal(10, 2)))", "MODIFY COLUMN `at` Nullable(DateTime64(6, 'UTC')))"}},
		{"MODIFY COLUMN paid", false, []string{"MODIFY COLUMN `paid` Nullable(Decimal(10, 1)))"}},
	} {
		found, away := Harm(contract, c.commands)
		require.Equal(t, c.want, found, c.commands)
		if c.want == "" {
			require.Equal(t, c.away, away, c.commands)
		}
	}
	swapped, _ := Harm(contract, []string{"RENAME COLUMN v TO x)", "RENAME COLUMN `a b\\`c` TO v)", "RENAME COLUMN x TO `a b\\`c`)"})
	require.Contains(t, swapped, "RENAME COLUMN")
}
