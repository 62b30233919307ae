package clinic

import (
	"cmp"

	"dirtbike/cdc"
)

// DefaultRows is the usual size of the clinic.
const DefaultRows = 1_000_000

// The least keeps every table, plan and month populated; above the most, seven digits of record numbers run out.
const (
	minRows = 1_000
	maxRows = 200_000_000
)

// counts are the rows of the tables whose size is chosen; claim lines and payments follow from the claims.
type counts struct {
	clinics, providers, patients, visits, claims int64
}

// CheckRows says whether a clinic of about that many rows in all tables together can be made; 0 is DefaultRows.
func CheckRows(rows int) error {
	_, err := share(rows)
	return err
}

// share shares rows out, met within about 2 %: 4 % patients, 14.5 % visits, 23 % claims with about 1.6 lines and 0.9
// payments each.
func share(asked int) (counts, error) {
	rows := int64(cmp.Or(asked, DefaultRows))
	if rows < minRows || rows > maxRows {
		return counts{}, cdc.Failed("a clinic of %d rows cannot be made", rows).Fix("%d to %d", minRows, maxRows)
	}
	return counts{
		clinics:   min(max(rows/16_500, 8), 500),
		providers: min(max(rows/2_000, 24), 5_000),
		patients:  rows * 40 / 1000,
		visits:    rows * 145 / 1000,
		claims:    rows * 230 / 1000,
	}, nil
}
