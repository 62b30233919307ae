package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"dirtbike/cdc"
)

// The environment of a leg under test.
const (
	// envFault is "<point>:<n>": SIGKILL itself when the point is passed for the n-th time.
	envFault = "DIRTBIKE_TEST_FAULT"
	// envMark is a file that always holds the last point passed, so that the one that kills the leg knows where it was.
	envMark = "DIRTBIKE_TEST_MARK"
)

// faultFromEnvironment makes the hook of a leg under test; a release has none.
func faultFromEnvironment() cdc.Fault {
	point, count, _ := strings.Cut(os.Getenv(envFault), ":")
	left, _ := strconv.Atoi(count) // 0: never
	var mark *os.File
	if name := os.Getenv(envMark); name != "" {
		var err error
		if mark, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
			panic(err)
		}
	}
	var mu sync.Mutex
	return func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if mark != nil {
			_, _ = mark.WriteAt([]byte(fmt.Sprintf("%-40s", at)), 0)
		}
		if at != point || left == 0 {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
}

// openAt says what a leg that was killed after a point surely had open. One that was killed from outside may have gone
// on since it passed the point; before-insert is outside the insert.
func openAt(point string, byHook bool) string {
	if !byHook {
		return "unknown"
	}
	switch point {
	case cdc.FaultInCopy:
		return "copy"
	case cdc.FaultInTxn, cdc.FaultAfterProduce:
		return "transaction"
	case cdc.FaultInInsert:
		return "insert"
	}
	return "nothing"
}

// openThings are what the kills must have interrupted, each at least once, and where each is sure to be open.
var openThings = []struct{ what, verb, point string }{
	{"copy", "capture", cdc.FaultInCopy}, {"transaction", "capture", cdc.FaultAfterProduce}, {"insert", "load", cdc.FaultInInsert},
}

// randomFault draws a point of a leg and when it kills.
func randomFault(r *rand.Rand, verb string) string {
	points := []string{cdc.FaultAfterProduce, cdc.FaultAfterCommit, cdc.FaultInTxn}
	if verb == "load" {
		points = []string{cdc.FaultBeforeInsert, cdc.FaultInInsert, cdc.FaultAfterInsert}
	}
	return fmt.Sprintf("%s:%d", points[r.IntN(len(points))], 1+r.IntN(10))
}
