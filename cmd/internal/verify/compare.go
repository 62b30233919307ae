package verify

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
)

// merge compares a chunk with the same range of ClickHouse, both ascending: it finds missing, different and extra rows.
func (r *run) merge(ctx context.Context, c *chunk) (differ []candidate, err error) {
	i := 0
	missing := func() {
		differ = append(differ, c.candidate(i))
		i++
	}
	err = r.sink.rows(ctx, r.between(c), func(key, row string) error {
		r.RowsSink++
		for i < len(c.rows) && string(c.key(i)) != key {
			order, err := compareKeys(string(c.key(i)), key)
			if err != nil {
				return err
			}
			if order > 0 {
				break
			}
			missing()
		}
		switch {
		case i == len(c.rows) || string(c.key(i)) != key:
			extra, err := r.fromKey(key)
			differ = append(differ, extra)
			return err
		case string(c.row(i)) != row:
			missing()
		default:
			i++
		}
		return nil
	})
	for err == nil && i < len(c.rows) {
		missing()
	}
	return differ, err
}

// compareKeys orders two keys of integers.
func compareKeys(a, b string) (int, error) {
	x, errX := numbers(a)
	y, errY := numbers(b)
	if len(x) != len(y) {
		errX = errForm
	}
	return slices.Compare(x, y), cmp.Or(errX, errY)
}

func numbers(key string) (out []int64, err error) {
	parts, err := fields(key)
	for _, p := range parts {
		n, err := strconv.ParseInt(p.value, 10, 64)
		if err != nil {
			return nil, errForm
		}
		out = append(out, n)
	}
	return out, err
}

// between gives the condition for the range of a chunk. The bounds of the first column alone are what the primary index
// understands best.
func (r *run) between(c *chunk) string {
	first, _, _ := strings.Cut(r.sink.names, ", ")
	where := "1"
	bound := func(operator string, key []string) {
		numbers := "toInt64(" + strings.Join(key, "), toInt64(") + ")"
		where += fmt.Sprintf(" AND (%s) %s (%s) AND %s %c= %s", r.sink.names, operator, numbers, first, operator[0], key[0])
	}
	if c.after != nil {
		bound(">", c.after)
	}
	if !c.last {
		bound("<=", c.to)
	}
	return where
}

// match looks a chunk's keys up in ClickHouse: it finds missing and different rows. Extra ones are found by extras.
func (r *run) match(ctx context.Context, c *chunk) (differ []candidate, err error) {
	if len(c.rows) == 0 {
		return nil, nil
	}
	index, keys := make(map[string]int, len(c.rows)), make([]string, len(c.rows))
	for i := range c.rows {
		keys[i] = string(c.key(i))
		index[keys[i]] = i
		if r.sink.hashed {
			r.seen = append(r.seen, maphash.String(r.seed, keys[i]))
		}
	}
	equal := make([]bool, len(c.rows))
	err = r.sink.lookup(ctx, keys, func(key, row string) error {
		if i, ok := index[key]; ok {
			equal[i] = string(c.row(i)) == row
		}
		return nil
	})
	for i, is := range equal {
		if !is {
			differ = append(differ, c.candidate(i))
		}
	}
	return differ, err
}
