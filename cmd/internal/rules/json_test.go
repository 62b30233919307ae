package rules

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cmd/internal/inventory"
	"dirtbike/cmd/internal/preflight"
	"dirtbike/cmd/internal/status"
	"dirtbike/cmd/internal/verify"
)

// operations is the document that has the JSON forms.
const operations = "cmd/dirtbike/OPERATIONS.md"

// jsonNames lists the names of a struct's JSON fields, and of the structs in its lists.
func jsonNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		names = append(names, name)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			names = append(names, jsonNames(f.Type.Elem())...)
		}
	}
	return names
}

// TestJSONFormsAreDocumented: every field that --json prints is in the document.
func TestJSONFormsAreDocumented(t *testing.T) {
	text := document(t, operations).text
	for _, form := range []reflect.Type{reflect.TypeFor[status.Status](), reflect.TypeFor[verify.Report](), reflect.TypeFor[preflight.Report](), reflect.TypeFor[inventory.Inventory]()} {
		names := jsonNames(form)
		require.NotEmpty(t, names)
		for _, name := range names {
			require.True(t, strings.Contains(text, "`"+name+"`") || strings.Contains(text, `"`+name+`"`), "%s does not name %s of %s", operations, name, form)
		}
	}
}
