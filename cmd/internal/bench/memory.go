package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most that a process has had resident, in bytes, as the kernel counts it.
func PeakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	return kilobytes(string(b), "VmHWM")
}

// kilobytes finds a line "name: n kB" and gives it in bytes.
func kilobytes(text, name string) (int64, error) {
	value := field(text, name, "")
	n, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return n << 10, nil
}
