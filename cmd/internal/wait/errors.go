package wait

import (
	"errors"
	"time"
)

// The reasons for which a comparison or a wait ends without an answer. They are wrapped with where and what to do.
var (
	// ErrNothingCompared says that no table was compared, which is no agreement.
	ErrNothingCompared = errors.New("no table was compared")
	// ErrBehind says that ClickHouse did not become complete in time.
	ErrBehind = errors.New("ClickHouse is not complete in time")
	// ErrNobody says that no capture runs.
	ErrNobody = errors.New("nothing new comes to ClickHouse")
	// ErrQuarantined says that a table cannot become exact by waiting.
	ErrQuarantined = errors.New("a table is quarantined")
)

// pollInterval is how often complete_up_to is read while something waits for it.
const pollInterval = 50 * time.Millisecond
