package schemas

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// kinds are all kinds but KindInvalid.
func kinds() (out []Kind) {
	for k := KindInvalid + 1; int(k) < len(kindNames); k++ {
		out = append(out, k)
	}
	return out
}

func typeOf(k Kind) Type {
	t := Type{Kind: k, Name: k.String()}
	if k == KindNumeric {
		t.Precision, t.Scale = 12, 2
	}
	if k == KindArray {
		t.Elem = &Type{Kind: KindText}
	}
	return t
}

// TestTypeTable: one row per kind, and every function over kinds knows all of them.
func TestTypeTable(t *testing.T) {
	seen := map[Kind]bool{}
	for _, row := range TypeTable {
		require.False(t, seen[row.Kind], "%s has two rows", row.Kind)
		seen[row.Kind] = true
		require.NotEmpty(t, row.Postgres)
		require.NotEmpty(t, row.Avro)
		require.NotEmpty(t, row.ClickHouse)
	}
	require.Len(t, seen, len(kinds()))
	for _, k := range kinds() {
		typ, row := typeOf(k), Row(k)
		lossy := row.Lossy
		if k == KindTimestampTZ {
			lossy = Row(KindTimestamp).Lossy
		}
		require.Equal(t, strings.Contains(lossy, "Avro null"), AvroInexact(typ), "%s: the table and AvroInexact differ", k)
		require.Equal(t, row.Key, KeyRefusal(typ) == "", k)
		if KeyInteger(typ) {
			require.True(t, row.Key, k)
			require.True(t, AvroInexact(typ), k)
		}
		require.NotEmpty(t, ClickHouseType(typ, true))
		back, err := ParseKind(k.String())
		require.NoError(t, err)
		require.Equal(t, k, back)
	}
}

func TestUnknownKinds(t *testing.T) {
	for _, name := range []string{"", "invalid", "money"} {
		_, err := ParseKind(name)
		require.Len(t, cdc.Explain(err).Try, 1)
	}
	require.Equal(t, "kind(200)", Kind(200).String())
	for _, k := range []Kind{KindInvalid, 200} {
		require.Panics(t, func() { Row(k) })
		require.Panics(t, func() { AvroInexact(Type{Kind: k}) })
		require.Panics(t, func() { ClickHouseType(Type{Kind: k}, false) })
	}
}

func TestClickHouseType(t *testing.T) {
	for want, c := range map[string]struct {
		typ      Type
		nullable bool
	}{
		"Int64":                                   {Type{Kind: KindInt8}, false},
		"Nullable(Int64)":                         {Type{Kind: KindInt8}, true},
		"Decimal(12,2)":                           {typeOf(KindNumeric), false},
		"Nullable(Decimal(12,2))":                 {typeOf(KindNumeric), true},
		"LowCardinality(String)":                  {Type{Kind: KindEnum}, false},
		"LowCardinality(Nullable(String))":        {Type{Kind: KindEnum}, true},
		"Nullable(DateTime64(6,'UTC'))":           {Type{Kind: KindTimestamp}, true},
		"Array(Nullable(String))":                 {typeOf(KindArray), true},
		"Array(LowCardinality(Nullable(String)))": {Type{Kind: KindArray, Elem: &Type{Kind: KindEnum}}, false},
		"Array(Nullable(Decimal(5,0)))":           {Type{Kind: KindArray, Elem: &Type{Kind: KindNumeric, Precision: 5}}, false},
	} {
		require.Equal(t, want, ClickHouseType(c.typ, c.nullable))
	}
}
