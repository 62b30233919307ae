package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes. In YAML it is a plain number, or one with a unit: kB, MB, GB (powers of 1000) or
// KiB, MiB, GiB (powers of 1024).
type ByteSize int64

// Int returns the number of bytes.
func (b ByteSize) Int() int { return int(b) }

// String writes the size with a unit, rounded for people.
func (b ByteSize) String() string { return humanize.Bytes(uint64(max(b, 0))) }

// number is how a type of numbers is written and read; ok is false for any other text.
type number struct {
	what, try string
	parse     func(text string) (n int64, ok bool)
}

var numbers = map[reflect.Type]number{
	byteSizeType:           {"a size", `a number with a unit, like "16MB" or "64KiB"`, parseByteSize},
	durationType:           {"a duration", `a number with a unit, like "250ms", "60s", "168h" or "7d"`, parseDuration},
	reflect.TypeFor[int](): {"a whole number", "digits without quotes, like 6", parseInt},
}

func parseByteSize(text string) (int64, bool) {
	n, err := humanize.ParseBytes(text)
	return int64(n), err == nil && n <= math.MaxInt64 && !strings.HasPrefix(strings.TrimSpace(text), "-") //nolint:gosec // the bound is asked
}

// parseDuration reads Go's form, and also days: 7d, 1d12h.
func parseDuration(text string) (int64, bool) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, false
	}
	whole := time.Duration(n) * 24 * time.Hour
	if found && rest == "" {
		return int64(whole), true
	}
	d, err := time.ParseDuration(rest)
	return int64(whole + d), err == nil && d >= 0 && whole <= math.MaxInt64-d
}

func parseInt(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}
