package rules

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// topLevel is everything that may be in the root besides dot-files: a reader finds the way by these names.
var topLevel = []string{
	"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md",
	"cdc", "cmd", "config", "docker", "go.mod", "go.sum", "schemas", "sinks",
}

// vagueNames do not say what a package is for, and so collect everything.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "pkg", "misc", "shared"}

// maxLines is the length beyond which a file has more than one role.
const maxLines = 500

// layoutFaults lists the files that are in a wrong place, have a vague name or are too long.
func layoutFaults(all []source) []string {
	var faults []string
	for _, f := range all {
		parts := strings.Split(f.path, "/")
		if !strings.HasPrefix(parts[0], ".") && !slices.Contains(topLevel, parts[0]) {
			faults = append(faults, fmt.Sprintf("%s: %s may not be at the top level", f.path, parts[0]))
		}
		for _, folder := range parts[:len(parts)-1] {
			if slices.Contains(vagueNames, folder) {
				faults = append(faults, fmt.Sprintf("%s: the name %s says nothing. Try: name what the package is for", f.path, folder))
			}
		}
		lines := strings.Count(f.text, "\n")
		if path.Ext(f.path) == ".go" && lines > maxLines {
			faults = append(faults, fmt.Sprintf("%s: %d lines, more than %d. Try: one role for each file", f.path, lines, maxLines))
		}
	}
	return faults
}

// nameFaults lists packages whose name, not folder, is vague.
func nameFaults(pkgs []goPackage) []string {
	var faults []string
	for _, p := range pkgs {
		if slices.Contains(vagueNames, p.Name) {
			faults = append(faults, fmt.Sprintf("%s: the package name %s says nothing", p.ImportPath, p.Name))
		}
	}
	return faults
}

func TestLayout(t *testing.T) {
	require.Empty(t, layoutFaults(tree(t)))
	require.Empty(t, nameFaults(packages(t)))
}

func TestLayoutFaultsAreFound(t *testing.T) {
	long := strings.Repeat("\n", maxLines+1)
	for name, c := range map[string]struct {
		file   source
		faults int
	}{
		"at the top":     {source{"notes.txt", ""}, 1},
		"dot-file":       {source{".golangci.yml", ""}, 0},
		"known folder":   {source{"cdc/lsn.go", ""}, 0},
		"unknown folder": {source{"internal/x.go", ""}, 1},
		"vague folder":   {source{"cdc/util/x.go", ""}, 1},
		"vague file":     {source{"cdc/common.go", ""}, 0},
		"long":           {source{"cdc/long.go", long}, 1},
		"long, not Go":   {source{"cdc/testdata/x.golden", long}, 0},
		"just not long":  {source{"cdc/x.go", long[1:]}, 0},
	} {
		t.Run(name, func(t *testing.T) { require.Len(t, layoutFaults([]source{c.file}), c.faults) })
	}
	require.Len(t, nameFaults([]goPackage{{Name: "helpers"}, {Name: "cdc"}}), 1)
}
