package rules

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Imports point one way: cmd → {config, sinks/*, cdc/*} → schemas → cdc; docker/* imports nothing of ours. Siblings
// never import each other, so that each part can be read, tested and replaced alone.
const module = "dirtbike/"

// unit is the part of the project that a package belongs to; inside one, imports are free. Subfolders belong to their
// part.
func unit(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, module), "/")
	switch parts[0] {
	case "cmd", "schemas", "config":
		return parts[0]
	}
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// mayImport says whether a package of unit from may import one of unit to.
func mayImport(from, to string) bool {
	switch {
	case from == to, from == "cmd":
		return true
	case from == "schemas":
		return to == "cdc"
	case from == "config", strings.HasPrefix(from, "cdc/"), strings.HasPrefix(from, "sinks/"):
		return to == "cdc" || to == "schemas"
	}
	return false // cdc, docker/*, and everything else
}

// mayImportInTest adds what only tests may import: the embedded stack, the oracle, and the conformance suite of an
// interface.
func mayImportInTest(from, to string) bool {
	return mayImport(from, to) || strings.HasPrefix(to, "docker/") || to == "cdc/sinktest"
}

// forTests reports whether a package is for tests alone: its name ends in "test" (sinktest, embeddedtest).
func forTests(path string) bool {
	return strings.HasPrefix(path, module) && strings.HasSuffix(path, "test")
}

// mayImportAvro names the users of hamba/avro: it is archived upstream, so one package hides it. The oracle shares no
// code with the pipeline, and so has its own decoder.
func mayImportAvro(path string) bool {
	return path == module+"schemas/avro" || path == module+"docker/oracle"
}

// importFaults lists the imports that break the rules.
func importFaults(pkgs []goPackage) []string {
	var faults []string
	for _, p := range pkgs {
		check := func(imports []string, allowed func(from, to string) bool) {
			for _, path := range imports {
				ours := strings.HasPrefix(path, module)
				if ours && !allowed(unit(p.ImportPath), unit(path)) {
					faults = append(faults, fmt.Sprintf("%s may not import %s", p.ImportPath, path))
				}
				if strings.HasPrefix(path, "github.com/hamba/avro") && !mayImportAvro(p.ImportPath) {
					faults = append(faults, fmt.Sprintf("%s may not import %s. Try: dirtbike/schemas/avro", p.ImportPath, path))
				}
			}
		}
		check(p.Imports, mayImport)
		if i := slices.IndexFunc(p.Imports, forTests); i >= 0 && !forTests(p.ImportPath) {
			faults = append(faults, fmt.Sprintf("%s may import %s in its tests only", p.ImportPath, p.Imports[i]))
		}
		check(p.TestImports, mayImportInTest)
		check(p.XTestImports, mayImportInTest)
	}
	return faults
}

func TestImportsPointOneWay(t *testing.T) {
	require.Empty(t, importFaults(packages(t)))
}

func TestImportFaultsAreFound(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok, test bool // in the package, in its tests
	}{
		{"cdc", "schemas", false, false},
		{"cdc", "cdc/capture", false, false},
		{"cdc/capture", "cdc", true, true},
		{"cdc/capture", "cdc/postgres", false, false},
		{"cdc/capture", "cdc/sinktest", false, true},
		{"cdc/postgres/pgoutput", "cdc", true, true},
		{"cdc/postgres", "cdc/capture", false, false},
		{"cdc/postgres/catalog", "schemas/avro", true, true},
		{"cdc/postgres/catalog", "cdc/privacy", false, false},
		{"cdc/postgres", "sinks/kafka", false, false},
		{"cdc/postgres", "config", false, false},
		{"cdc/postgres", "docker/embedded", false, true},
		{"schemas", "cdc", true, true},
		{"schemas/avro", "schemas", true, true},
		{"schemas/avro", "cdc/postgres/catalog", false, false},
		{"sinks/kafka", "schemas", true, true},
		{"sinks/kafka", "sinks/clickhouse", false, false},
		{"sinks/kafka", "cdc/sinktest", false, true},
		{"config", "cdc", true, true},
		{"config/internal/genschema", "config", true, true},
		{"config", "sinks/kafka", false, false},
		{"docker/embedded", "cdc", false, false},
		{"docker/oracle", "docker/embedded", false, true},
		{"docker/oracle", "docker/embedded/embeddedtest", false, true},
		{"docker/oracle", "schemas/avro", false, false},
		{"docker/embedded/embeddedtest", "docker/embedded", true, true},
		{"docker/embedded/embeddedtest", "cdc", false, false},
		{"docker/embedded", "docker/embedded/embeddedtest", false, true},
		{"cmd/dirtbike", "docker/embedded/embeddedtest", false, true},
		{"cmd/dirtbike", "sinks/clickhouse", true, true},
		{"somewhere/new", "cdc", false, false},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			from, to := module+c.from, []string{module + c.to}
			require.Equal(t, c.ok, len(importFaults([]goPackage{{ImportPath: from, Imports: to}})) == 0)
			require.Equal(t, c.test, len(importFaults([]goPackage{{ImportPath: from, TestImports: to}})) == 0)
			require.Equal(t, c.test, len(importFaults([]goPackage{{ImportPath: from, XTestImports: to}})) == 0)
		})
	}
}

func TestAvroImportersAreFound(t *testing.T) {
	const avro = "github.com/hamba/avro/v2"
	for path, ok := range map[string]bool{
		"schemas/avro": true, "docker/oracle": true, "schemas": false, "schemas/registry": false, "cmd/dirtbike": false,
	} {
		require.Equal(t, ok, len(importFaults([]goPackage{{ImportPath: module + path, Imports: []string{avro}}})) == 0, path)
		require.Equal(t, ok, len(importFaults([]goPackage{{ImportPath: module + path, TestImports: []string{avro}}})) == 0, path)
	}
}

// TestSchemasAreLight: what reads topics (load, the data team's tools) needs no client of Postgres, logger or metrics
// for it.
func TestSchemasAreLight(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"schemas/...").Output()
	require.NoError(t, err)
	for dep := range strings.Lines(string(out)) {
		for _, heavy := range []string{"github.com/jackc/", "go.uber.org/zap", "github.com/prometheus/"} {
			require.False(t, strings.HasPrefix(dep, heavy), dep)
		}
	}
}
