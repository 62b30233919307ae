package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestKafkaVersionText: what was decisive is always said, and the guessed release only where it says the same.
func TestKafkaVersionText(t *testing.T) {
	const enough = "they know what dirtbike needs of Kafka 2.8: Metadata v12, InitProducerID v4"
	const lacks = "it knows Metadata only up to v9 (v10, of Kafka 2.8, is needed)"
	for guess, c := range map[string]struct{ enough, lacks string }{
		"v2.7":                                  {"", ", and looks like v2.7"},
		"v2.8":                                  {" (they look like v2.8)", ""},
		"v4.1":                                  {" (they look like v4.1)", ""},
		"v0.10.2":                               {"", ", and looks like v0.10.2"},
		"v0_10_0":                               {"", ", and looks like v0_10_0"},
		"at least v4.1":                         {" (they look like at least v4.1)", ""},
		"at least v2.6":                         {"", ""},
		"between v2.3 and v2.4":                 {"", ", and looks like between v2.3 and v2.4"},
		"between v2.7 and v2.8":                 {"", ""},
		"between v3.1 and v3.2":                 {" (they look like between v3.1 and v3.2)", ""},
		"not even v0.8.0":                       {"", ", and looks like not even v0.8.0"},
		"not even v3.0":                         {"", ""},
		"unknown custom version":                {"", ""},
		"unknown custom version at least v0.10": {"", ""},
		"unknown custom version at least v3.0":  {" (they look like unknown custom version at least v3.0)", ""},
		"":                                      {"", ""},
	} {
		require.Equal(t, enough+c.enough, knows{metadata: 12, producer: 4, guess: guess}.text(), guess)
		require.Equal(t, lacks+c.lacks+"; dirtbike needs 2.8 or newer", knows{metadata: 9, producer: 4, guess: guess}.text(), guess)
	}
	require.Equal(t, "it knows no Metadata (v10, of Kafka 2.8, is needed) and InitProducerID only up to v2 (v3, of Kafka 2.5, is needed); dirtbike needs 2.8 or newer",
		knows{metadata: -1, producer: 2, guess: "v3.0"}.text())
	weak := weakest([]knows{{metadata: 12, producer: 4}, {metadata: 10, producer: 5}, {metadata: 10, producer: 3}})
	require.Equal(t, knows{metadata: 10, producer: 3}, weak)
}

// TestGuessesOfReleases: every release's own guess is one that can be compared.
func TestGuessesOfReleases(t *testing.T) {
	for _, name := range kversion.VersionStrings() {
		versions := kversion.FromString(name)
		require.NotNil(t, versions, name)
		b := knows{metadata: -1, producer: -1, guess: versions.VersionGuess()}
		if v, is := versions.LookupMaxKeyVersion(3); is {
			b.metadata = v
		}
		if v, is := versions.LookupMaxKeyVersion(22); is {
			b.producer = v
		}
		require.Contains(t, b.text(), b.guess, name)
		newer, known := atLeast28(b.guess)
		require.True(t, known, b.guess)
		require.Equal(t, b.enough(), newer, name)
	}
}
