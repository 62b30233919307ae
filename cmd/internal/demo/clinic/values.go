package clinic

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// cents is an amount of money, written to numeric(12,2).
type cents int64

// NumericValue implements pgtype.NumericValuer.
func (c cents) NumericValue() (pgtype.Numeric, error) {
	return pgtype.Numeric{Int: big.NewInt(int64(c)), Exp: -2, Valid: true}, nil
}

// share returns the part f of c, rounded down.
func (c cents) share(f float64) cents { return cents(float64(c) * f) }

// day counts days since 2000-01-01, as Postgres does; forever is its 'infinity'.
type day int32

const forever day = 1<<31 - 1

// unixDays is 2000-01-01 in days since 1970-01-01.
const unixDays = 10957

// DateValue implements pgtype.DateValuer.
func (d day) DateValue() (pgtype.Date, error) {
	if d == forever {
		return pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, nil
	}
	return pgtype.Date{Time: d.time(), Valid: true}, nil
}

// time is the day's midnight in UTC.
func (d day) time() time.Time { return time.Unix((int64(d)+unixDays)*86400, 0).UTC() }

// at is the moment some seconds after the day's midnight in UTC.
func (d day) at(seconds int) time.Time { return d.time().Add(time.Duration(seconds) * time.Second) }

// dayOf is the day of a date.
func dayOf(year int, month time.Month, dayOfMonth int) day {
	return day(time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC).Unix()/86400 - unixDays) //nolint:gosec // years of this century
}

// numbered is prefix followed by n in at least width digits, zero-padded.
func numbered(prefix string, n int64, width int) string {
	digits := strconv.FormatInt(n, 10)
	return prefix + strings.Repeat("0", max(width-len(digits), 0)) + digits
}
