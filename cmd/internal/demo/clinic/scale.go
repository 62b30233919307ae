package clinic

import "dirtbike/cdc"

// DefaultRows is the size of the clinic when Scale names none.
const DefaultRows = 1_000_000

// The least keeps every table, plan and month populated; above the most, seven digits of record numbers run out.
const (
	minRows = 1_000
	maxRows = 200_000_000
)

// Scale says how big the clinic is.
type Scale struct {
	// Rows is the number of rows in all tables together, met within about 2 %: 1,000 to 200,000,000. Zero means
	// DefaultRows.
	Rows int
}

// counts are the rows of the tables whose size is chosen; claim lines and payments follow from the claims.
type counts struct {
	clinics, providers, patients, visits, claims int64
}

// Check says whether a clinic of this size can be made.
func (s Scale) Check() error {
	_, err := s.counts()
	return err
}

// counts shares the rows out: 4 % patients, 14.5 % visits, 23 % claims with about 1.6 lines and 0.9 payments each.
func (s Scale) counts() (counts, error) {
	rows := int64(s.Rows)
	if rows == 0 {
		rows = DefaultRows
	}
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
