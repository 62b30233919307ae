package bench

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// allocations counts the process's allocations between two rows of one pass: connecting, and the first rows, which make
// the memory that is used again, are not part of the row path.
type allocations struct {
	first, last  int64 // rows between which it counts
	rows         int64
	before, seen uint64
}

// newAllocations counts over the second half of the rows: in the first one the reused chunks grow.
func newAllocations(rows int64) *allocations { return &allocations{first: rows/2 + 1, last: rows} }

// add is called after each batch of rows.
func (a *allocations) add(rows int64) {
	was := a.rows
	a.rows += rows
	if was < a.first && a.first <= a.rows {
		a.before, a.first = mallocs(), a.rows
	}
	if was < a.last && a.last <= a.rows {
		a.seen = mallocs() - a.before
	}
}

// perRow is the average.
func (a *allocations) perRow() float64 { return float64(a.seen) / float64(max(a.last-a.first, 1)) }

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// Pair is the time of one pass of the reference and of one of the product, run one after the other.
type Pair struct{ Reference, Product time.Duration }

// Ratio is the product's speed as a share of the reference's.
func (p Pair) Ratio() float64 { return p.Reference.Seconds() / p.Product.Seconds() }

// turns are pairs in the order in which they ran.
type turns[P interface{ Ratio() float64 }] []P

// sorted are the pairs by ratio.
func (t turns[P]) sorted() []P {
	return slices.SortedFunc(slices.Values(t), func(x, y P) int { return cmp.Compare(x.Ratio(), y.Ratio()) })
}

// Median is the pair with the median ratio (of an even number the lower one). All figures of a comparison are from this
// pair: separate medians would come from different minutes of a busy machine, and their quotient would not be the
// ratio.
func (t turns[P]) Median() P { return t.sorted()[(len(t)-1)/2] }

// Range gives the lowest and the highest ratio.
func (t turns[P]) Range() (lowest, highest float64) {
	sorted := t.sorted()
	return sorted[0].Ratio(), sorted[len(t)-1].Ratio()
}

// Comparison is the result of one measure on one table.
type Comparison struct {
	Measure, Table     string
	Form               string // of values on the wire, where the measure has several; else ""
	Reference, Product string // their commands, with settings
	Rows               int64
	Pairs              turns[Pair]
	// Allocations per row, of each of the product's passes; counted only where the product runs in this process.
	Allocations        []float64
	AllocationsCounted bool
	// Least is the ratio that is promised; 0 = none.
	Least float64
}

// name is the table's, with the form in which it was read where there are two.
func (c *Comparison) name() string {
	if c.Form == "" {
		return c.Table
	}
	return c.Table + ", " + c.Form
}

// perRow is the median of the allocations per row.
func (c *Comparison) perRow() float64 {
	sorted := slices.Sorted(slices.Values(c.Allocations))
	return sorted[len(sorted)/2]
}

// mostAllocations per row count as none: what happens only now and then (a commit, a status message, a read buffer that
// was collected as garbage, the transaction of a range in a copy) is not a cost per row.
const mostAllocations = 0.01

// allocationsBeside the rows may be this many in a pass of any size, over the half that is counted.
const allocationsBeside = 1000

// allocates reports whether rows cost allocations.
func (c *Comparison) allocates() bool {
	counted := float64(c.Rows) / 2
	return c.AllocationsCounted && c.perRow()*counted > mostAllocations*counted+allocationsBeside
}

// faults says which promises the comparison does not reach.
func (c *Comparison) faults() []string {
	var out []string
	if ratio := c.Pairs.Median().Ratio(); ratio < c.Least {
		out = append(out, fmt.Sprintf("%s, %s: the median ratio is %.2f, below %.2f", c.Measure, c.name(), ratio, c.Least))
	}
	if c.allocates() {
		out = append(out, fmt.Sprintf("%s, %s: %.3f allocations per row", c.Measure, c.name(), c.perRow()))
	}
	return out
}

// alternate lets one pass of the reference and one of the product take turns; which of them begins changes each time.
// The result joins the report.
func (r *run) alternate(c Comparison, reference func() (time.Duration, error), product func(*allocations) (time.Duration, error)) error {
	for i := range r.Pairs {
		var p Pair
		a := newAllocations(c.Rows)
		for j := range 2 {
			var err error
			if (i+j)%2 == 0 {
				p.Reference, err = reference()
			} else {
				p.Product, err = product(a)
			}
			if err != nil {
				return fmt.Errorf("measure %s of table %s: %w", c.Measure, c.name(), err)
			}
		}
		c.Pairs = append(c.Pairs, p)
		if c.AllocationsCounted {
			c.Allocations = append(c.Allocations, a.perRow())
		}
		r.say("%s, %s: pair %d of %d: %s against %s rows/s, %.2f×", c.Measure, c.name(), i+1, r.Pairs, speed(c.Rows, p.Product), speed(c.Rows, p.Reference), p.Ratio())
	}
	r.report.Comparisons = append(r.report.Comparisons, c)
	return nil
}
