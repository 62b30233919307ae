package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dirtbike/config"
)

// Parse must answer every input with a config or with Errors, and never panic.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "minimal.yaml", "sample.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("fuzz.yaml", data)
		var errs config.Errors
		if (cfg == nil) != errors.As(err, &errs) {
			t.Fatalf("config %v with error %v", cfg, err)
		}
	})
}
