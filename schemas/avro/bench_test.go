package avro

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// claims is a row of ordinary width: 9 columns, about 100 bytes.
func claims(identity cdc.ReplicaIdentity) *schemas.Relation {
	return relation(identity, 1,
		col("id", schemas.KindInt8), col("patient_id", schemas.KindInt8), col("clinic_id", schemas.KindInt4),
		col("code", schemas.KindText), col("service_date", schemas.KindDate), col("status", schemas.KindEnum),
		col("billed", schemas.KindNumeric, decimal(12, 2)), col("allowed", schemas.KindNumeric, decimal(12, 2)),
		col("paid", schemas.KindNumeric, decimal(12, 2)))
}

func claimText() cdc.Tuple {
	return texts("123456789", "98765432", "1234", "99213-25", "2024-03-15", "submitted", "1234.56", "1000.00", "987.65")
}

func claimBinary() cdc.Tuple {
	return cdc.Tuple{
		raw(int8(123456789)), raw(int8(98765432)), raw(int4(1234)), raw([]byte("99213-25")), raw(int4(8840)), raw([]byte("submitted")),
		raw(numeric(0, 0, 2, 1234, 5600)), raw(numeric(0, 0, 2, 1000)), raw(numeric(0, 0, 2, 987, 6500)),
	}
}

// shapes are the kinds of change that the row path serves, in both forms.
func shapes(t testing.TB) map[string]func() error {
	out := map[string]func() error{}
	for form, row := range map[string]cdc.Tuple{"text": claimText(), "binary": claimBinary()} {
		b := newBench(t, claims(cdc.IdentityFull), nil, nil)
		old := append(cdc.Tuple(nil), row...)
		old[5] = text("open")
		m, ctx := meta(), context.Background()
		reset := func(f func() error) func() error {
			return func() error { b.chunk.Reset(); return f() }
		}
		out["insert/"+form] = reset(func() error { return b.enc.Insert(&b.chunk, m, row) })
		out["read/"+form] = reset(func() error { return b.enc.Read(&b.chunk, m, row) })
		out["delete/"+form] = reset(func() error { return b.enc.Delete(&b.chunk, m, cdc.OldFull, old) })
		out["update/"+form] = reset(func() error { return b.enc.Update(ctx, &b.chunk, m, cdc.OldFull, old, row) })
		moved := append(cdc.Tuple{text("1")}, row[1:]...)
		out["key change/"+form] = reset(func() error { return b.enc.Update(ctx, &b.chunk, m, cdc.OldFull, moved, row) })
		folded := append(append(cdc.Tuple(nil), row[:3]...), append(cdc.Tuple{unchanged()}, row[4:]...)...)
		out["unchanged/"+form] = reset(func() error { return b.enc.Update(ctx, &b.chunk, m, cdc.OldFull, old, folded) })
	}
	return out
}

func TestNoAllocationPerRow(t *testing.T) {
	for name, f := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, f())
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if err := f(); err != nil {
					t.Error(err)
				}
			}))
		})
	}
}

// TestNoAllocationPerKind goes through every kind, and through `inexact`.
func TestNoAllocationPerKind(t *testing.T) {
	m := meta()
	for _, v := range goldenValues(t) {
		b := newBench(t, relation(cdc.IdentityDefault, 1, col("id", schemas.KindInt4), schemas.Column{Name: "v", Type: v.typ}), nil, nil)
		for _, d := range []cdc.Datum{text(v.text), raw(v.binary)} {
			row := cdc.Tuple{text("1"), d}
			insert := func() {
				b.chunk.Reset()
				if err := b.enc.Insert(&b.chunk, m, row); err != nil {
					t.Error(err)
				}
			}
			insert()
			require.Zero(t, testing.AllocsPerRun(10, insert), "%s %s", v.typ.Name, v.text)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, f := range shapes(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
