package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"dirtbike/cdc"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes. In YAML it is a plain number, or one with a unit: kB, MB, GB (powers of 1000) or
// KiB, MiB, GiB (powers of 1024).
type ByteSize int64

// Int returns the number of bytes.
func (b ByteSize) Int() int { return int(b) }

// String writes the size with a unit, rounded for people.
func (b ByteSize) String() string { return humanize.Bytes(uint64(max(b, 0))) }

// How numbers are written.
const (
	tryByteSize = `a number with a unit, like "16MB" or "64KiB"`
	tryDuration = `a number with a unit, like "250ms", "60s", "168h" or "7d"`
	tryInt      = "digits without quotes, like 6"
)

var (
	errByteSize = cdc.Failed("not a size").Fix("%s", tryByteSize)
	errDuration = cdc.Failed("not a duration").Fix("%s", tryDuration)
	errInt      = cdc.Failed("not a whole number").Fix("%s", tryInt)
)

func parseByteSize(text string) (ByteSize, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "-") {
		return 0, errByteSize
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, errByteSize
	}
	return ByteSize(n), nil
}

// parseDuration reads Go's form, and also days: 7d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	var days time.Duration
	rest := text
	if number, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days > math.MaxInt64-d {
		return 0, errDuration
	}
	return days + d, nil
}
