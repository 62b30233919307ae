package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// runClickHouse loads the library and runs its command line until the server ends. It is the child's whole life: the
// library takes over signals and memory, so it must never be loaded into the pipeline's process.
func runClickHouse(j job) error {
	inner := loopback(j.HTTP[1])
	err := errors.Join(front{to: loopback(j.TCP[1]), http: inner}.serve(j.TCP[0]), front{to: inner}.serve(j.HTTP[0]))
	if err != nil {
		return err
	}
	lib, err := purego.Dlopen(j.Lib, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load ClickHouse: %w", err)
	}
	var cmdline func(argc int32, argv unsafe.Pointer) uintptr
	var resultError func(result uintptr) string
	purego.RegisterLibFunc(&cmdline, lib, "chdb_query_cmdline")
	purego.RegisterLibFunc(&resultError, lib, "chdb_result_error")
	argv, keep := cArgs(j.Args)
	result := cmdline(int32(len(j.Args)), argv) //nolint:gosec // a handful of arguments
	runtime.KeepAlive(keep)
	if result == 0 {
		return errors.New("ClickHouse gave no result")
	}
	if msg := resultError(result); msg != "" {
		return errors.New(msg)
	}
	return nil
}

// cArgs lays the arguments out as C strings; keep must stay alive as long as the pointer is used.
func cArgs(args []string) (unsafe.Pointer, []*byte) {
	ptrs := make([]*byte, len(args)+1)
	for i, a := range args {
		ptrs[i] = unsafe.SliceData(append([]byte(a), 0)) //nolint:gosec // what C calls a string; keep holds it
	}
	return unsafe.Pointer(unsafe.SliceData(ptrs)), ptrs //nolint:gosec // what C calls argv; keep holds it
}
