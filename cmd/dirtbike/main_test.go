package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// envRun makes a re-executed test binary be dirtbike itself, with the fault hooks of fault_test.go.
const envRun = "DIRTBIKE_TEST_RUN"

func TestMain(m *testing.M) {
	embedded.RunChild()
	if os.Getenv(envRun) != "" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr, faultFromEnvironment()))
	}
	flag.Parse()
	err := errors.Join(os.Setenv(envRun, "1"), flag.Set("test.parallel", "4")) // they wait for engines more than they compute
	if err != nil {
		panic(err)
	}
	embeddedtest.Main(m, kfakeStack, secureStack)
}
