package verify

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"dirtbike/cmd/internal/console"
)

// progressInterval is how far apart the lines of ProgressLines are.
const progressInterval = 10 * time.Second

// ProgressLines writes for people how far a comparison is: one line to w every ten seconds at most, so that a short one
// prints nothing. The function is called by one goroutine with the table being compared and its rows so far.
func ProgressLines(w io.Writer) func(table string, rows int64) {
	return (&progress{w: w, now: time.Now, printed: time.Now()}).show
}

type progress struct {
	w       io.Writer
	now     func() time.Time
	printed time.Time // when the last line was written, or the comparison began
	table   string
	rows    int64 // of the present table
	// done and before are the tables that were compared before it, and their rows.
	done   int
	before int64
}

func (p *progress) show(table string, rows int64) {
	if p.table != "" && p.table != table {
		p.done, p.before = p.done+1, p.before+p.rows
	}
	p.table, p.rows = table, rows
	now := p.now()
	if now.Sub(p.printed) < progressInterval {
		return
	}
	p.printed = now
	before := ""
	if p.done > 0 {
		before = fmt.Sprintf(", after %s with %s rows", tables(p.done), humanize.Comma(p.before))
	}
	_, _ = fmt.Fprintf(p.w, "comparing %s: %s rows so far%s\n", console.Printable(table), humanize.Comma(rows), before) // the comparison goes on without
}
