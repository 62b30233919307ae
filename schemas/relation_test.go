package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSQLName(t *testing.T) {
	for name, want := range map[string]string{
		"patients": "public.patients", "Mixed": `public."Mixed"`, `o"dd name`: `public."o""dd name"`, "a.b": `public."a.b"`, "1st": `public."1st"`, "ü": `public."ü"`,
	} {
		require.Equal(t, want, (&Relation{Schema: "public", Name: name}).SQLName())
	}
}
