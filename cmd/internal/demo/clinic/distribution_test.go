package clinic

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

// The alias method must give back exactly the weights it was made of.
func TestWeightedKeepsItsWeights(t *testing.T) {
	for name, weights := range map[string][]float64{
		"one": {3}, "even": {1, 1, 1}, "steep": zipf(60, 1.2), "mixed": {0.001, 5, 2, 90, 0.1},
	} {
		d, sum := newWeighted(weights), 0.0
		share := make([]float64, len(weights))
		for i, keep := range d.keep {
			share[i] += keep
			share[d.alias[i]] += 1 - keep
		}
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			require.InDelta(t, w/sum, share[i]/float64(len(weights)), 1e-9, "%s, index %d", name, i)
		}
	}
}

// A claim's amounts are the sums of its lines and of its payments, with any status.
func TestClaimsAddUp(t *testing.T) {
	w, c := smallWorld(t, 3), claim{}
	for i := range w.n.claims {
		w.claim(i, &c)
		var billed, allowed, refused, received cents
		for _, l := range c.lines {
			require.Positive(t, l.charge)
			billed, allowed, refused = billed+l.charge, allowed+l.allowed, refused+l.denied
		}
		for _, p := range c.payments {
			require.Positive(t, p)
			received += p
		}
		require.Equal(t, [...]cents{c.billed, c.paid, c.denied, c.paid}, [...]cents{billed, allowed, refused, received})
		require.Equal(t, c.status == paid, len(c.payments) > 0)
		require.Equal(t, c.status == pending, c.paid+c.denied == 0)
		require.LessOrEqual(t, c.visit.day, lastDay)
		require.Less(t, c.visit.day, c.submitted)
	}
}

func TestStatusesAndPlans(t *testing.T) {
	w, c := smallWorld(t, 4), claim{}
	byStatus, byPlan, byClinic := map[string]float64{}, map[string]float64{}, make([]float64, w.n.clinics)
	weekend := 0.0
	for i := range w.n.claims {
		w.claim(i, &c)
		byStatus[c.status]++
		byPlan[c.plan]++
		byClinic[c.visit.clinic]++
		if day := c.visit.day.time().Weekday(); day == time.Saturday || day == time.Sunday {
			weekend++
		}
	}
	all := float64(w.n.claims)
	require.InDelta(t, 0.85, byStatus[paid]/all, 0.03)
	require.InDelta(t, 0.10, byStatus[denied]/all, 0.02)
	require.InDelta(t, 0.05, byStatus[pending]/all, 0.02)
	require.Len(t, byPlan, len(plans))
	require.Greater(t, byPlan["Medicare"], 3*byPlan[selfPay])
	require.Greater(t, byClinic[0], 2*byClinic[w.n.clinics-1])
	require.Less(t, weekend/all, 0.15)
}

// column collects one column of a table, nil for NULL.
func column[T any](t *testing.T, table *table, name string) []*T {
	t.Helper()
	at := -1
	for i, c := range table.columns {
		if c == name {
			at = i
		}
	}
	require.NotEqual(t, -1, at, name)
	var all []*T
	for table.Next() {
		if table.values[at] == nil {
			all = append(all, nil)
			continue
		}
		v := table.values[at].(T)
		all = append(all, &v)
	}
	return all
}

// nulls is the share of NULLs.
func nulls[T any](values []*T) float64 {
	n := 0.0
	for _, v := range values {
		if v == nil {
			n++
		}
	}
	return n / float64(len(values))
}

func TestPatientsAreRealistic(t *testing.T) {
	w := smallWorld(t, 5)
	require.InDelta(t, 0.22, nulls(column[string](t, w.patientTable(), "email")), 0.06)
	forevers, year9999, over89 := 0, 0, 0
	for _, end := range column[day](t, w.patientTable(), "coverage_end") {
		switch {
		case end == nil:
		case *end == forever:
			forevers++
		case *end == dayOf(9999, time.December, 31):
			year9999++
		}
	}
	require.Greater(t, forevers, 100)
	require.Greater(t, year9999, 100)
	for _, born := range column[day](t, w.patientTable(), "born") {
		require.LessOrEqual(t, *born, lastDay)
		if *born <= lastDay-90*366 {
			over89++
		}
	}
	require.Positive(t, over89)
	for _, private := range []string{"mrn", "ssn"} {
		seen := map[string]bool{}
		for _, v := range column[string](t, w.patientTable(), private) {
			require.False(t, seen[*v], private)
			seen[*v] = true
		}
	}
	for _, ssn := range column[string](t, w.patientTable(), "ssn") {
		require.Regexp(t, `^9\d\d-\d\d-\d{4}$`, *ssn)
	}
}

// About one note in a hundred is long enough, and random enough, that Postgres stores it out of line.
func TestSomeNotesAreLarge(t *testing.T) {
	large := 0
	notes := column[string](t, smallWorld(t, 6).visitTable(), "notes")
	for _, n := range notes {
		if n != nil && len(*n) > 200 {
			require.Greater(t, len(*n), 4_000)
			require.Less(t, len(*n), 20_100)
			large++
		}
	}
	require.InDelta(t, 0.01, float64(large)/float64(len(notes)), 0.006)
	require.InDelta(t, 0.2, nulls(notes), 0.04)
}

func TestValues(t *testing.T) {
	date, err := forever.DateValue()
	require.NoError(t, err)
	require.Equal(t, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, date)
	for text, d := range map[string]day{
		"2000-01-01": 0, "1999-12-31": -1, "2024-02-29": dayOf(2024, time.February, 29), "9999-12-31": dayOf(9999, time.December, 31),
		"1926-07-01": dayOf(1926, time.July, 1),
	} {
		require.Equal(t, text, d.time().Format(time.DateOnly))
	}
	for want, c := range map[string]cents{"0.00": 0, "0.05": 5, "12.30": 1230, "-7.01": -701, "9999999999.99": 999_999_999_999} {
		n, err := c.NumericValue()
		require.NoError(t, err)
		require.Equal(t, want, decimal.NewFromBigInt(n.Int, n.Exp).StringFixed(2))
	}
	require.Equal(t, "MRN0000042", numbered("MRN", 42, 7))
	require.Equal(t, "12345", numbered("", 12345, 3))
}
