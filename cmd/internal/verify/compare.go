package verify

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
)

// merge compares a chunk with the same range of ClickHouse, both ascending: it finds missing, different and extra rows.
func (r *run) merge(ctx context.Context, c *chunk) (differ []candidate, err error) {
	i := 0
	missing := func() {
		differ = append(differ, candidate{c.rawKey(i), string(c.key(i))})
		i++
	}
	err = r.sink.rows(ctx, r.between(c), func(key, row string) error {
		r.rowsSink++
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
		if i == len(c.rows) || string(c.key(i)) != key {
			extra, err := r.rawFromKey(key)
			differ = append(differ, extra)
			return err
		}
		if string(c.row(i)) != row {
			missing()
			return nil
		}
		i++
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i < len(c.rows) {
		missing()
	}
	return differ, nil
}

// compareKeys orders two keys of integers.
func compareKeys(a, b string) (int, error) {
	x, err := fields(a)
	if err != nil {
		return 0, err
	}
	y, err := fields(b)
	if err != nil || len(x) != len(y) {
		return 0, errForm
	}
	for i := range x {
		m, errX := strconv.ParseInt(x[i].value, 10, 64)
		n, errY := strconv.ParseInt(y[i].value, 10, 64)
		if errX != nil || errY != nil {
			return 0, errForm
		}
		if order := cmp.Compare(m, n); order != 0 {
			return order, nil
		}
	}
	return 0, nil
}

// between gives the condition for the range of a chunk. The bounds of the first column alone are what the primary index
// understands best.
func (r *run) between(c *chunk) string {
	first, _, _ := strings.Cut(r.sink.names, ", ")
	where := []string{"1"}
	if c.after != nil {
		where = append(where, fmt.Sprintf("(%s) > (%s)", r.sink.names, integers(c.after)), fmt.Sprintf("%s >= %s", first, c.after[0]))
	}
	if !c.last {
		where = append(where, fmt.Sprintf("(%s) <= (%s)", r.sink.names, integers(c.to)), fmt.Sprintf("%s <= %s", first, c.to[0]))
	}
	return strings.Join(where, " AND ")
}

func integers(key [][]byte) string {
	parts := make([]string, len(key))
	for i, text := range key {
		parts[i] = "toInt64(" + string(text) + ")"
	}
	return strings.Join(parts, ", ")
}

// match looks a chunk's keys up in ClickHouse: it finds missing and different rows. Extra ones are found by extras.
func (r *run) match(ctx context.Context, c *chunk) ([]candidate, error) {
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
	err := r.sink.lookup(ctx, keys, func(key, row string) error {
		if i, ok := index[key]; ok {
			equal[i] = string(c.row(i)) == row
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var differ []candidate
	for i, is := range equal {
		if !is {
			differ = append(differ, candidate{c.rawKey(i), keys[i]})
		}
	}
	return differ, nil
}
