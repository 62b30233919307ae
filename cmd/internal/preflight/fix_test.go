package preflight

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// apply runs exactly the command that a check printed, as the person does who reads it: SQL as the very role that it
// names.
func (r *rig) apply(c Check) {
	r.Helper()
	require.NotEmpty(r, c.Command, "%+v", c)
	switch kind(c.Command) {
	case "config":
		r.set(c.Command)
	case "sql":
		if c.Part == partClickHouse {
			require.NotEmpty(r, c.by())
			r.applyClickHouse(c.Command)
			return
		}
		conn := r.superuser()
		defer conn.Close(r.Context()) // nothing is open on it
		if owner, is := strings.CutSuffix(c.by(), orSuperuser); is {
			_, err := conn.Exec(r.Context(), "SET SESSION AUTHORIZATION "+owner)
			require.NoError(r, err, c.by())
		} else {
			require.Empty(r, c.by(), "a superuser is the only other one")
		}
		for line := range strings.Lines(c.Command) {
			_, err := conn.Exec(r.Context(), line)
			require.NoError(r, err, line)
		}
	case "shell":
		r.applyShell(c.Command)
	default:
		require.Fail(r, "not a command", "%q", c.Command)
	}
}

// applyShell runs a command line: curl as it is, Kafka's tools by their classes where there are some.
func (r *rig) applyShell(line string) {
	r.Helper()
	words := splitWords(r, line)
	switch tool := words[0]; {
	case tool == "curl":
		out, err := exec.CommandContext(r.Context(), "sh", "-c", line).CombinedOutput()
		require.NoError(r, err, "%s: %s", line, out)
	case tool == "kafka-configs.sh" && r.jars != "":
		r.java("kafka.admin.ConfigCommand", words[1:])
	case tool == "kafka-configs.sh":
		r.alterConfigs(words[1:])
	case tool == "kafka-topics.sh" && words[len(words)-3] == "--delete" && words[len(words)-2] == "--topic":
		responses, err := r.admin.DeleteTopics(r.Context(), words[len(words)-1])
		require.NoError(r, err)
		require.NoError(r, responses[words[len(words)-1]].Err)
	case tool == "kafka-acls.sh":
		r.addACLs(words[1:])
	default:
		require.Fail(r, "unknown tool", line)
	}
}

// java runs one of Apache Kafka's own tools.
func (r *rig) java(class string, args []string) {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "java", append([]string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(r.jars, "*"), class}, args...)...)
	cmd.Dir = filepath.Dir(r.properties) // admin.properties lies here
	out, err := cmd.CombinedOutput()
	require.NoError(r, err, "%s %v: %s", class, args, out)
	require.NotContains(r, string(out), "Exception", "%s %v", class, args)
}

// splitWords splits a command line as a shell does: that of the machine.
func splitWords(r *rig, line string) []string {
	r.Helper()
	out, err := exec.CommandContext(r.Context(), "sh", "-c", `set -f; for word in `+line+`; do printf '%s\n' "$word"; done`).Output()
	require.NoError(r, err, line)
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// flags reads --name value pairs; a flag may be there more than once, and the last one may have no value.
func flags(r *rig, words []string) map[string][]string {
	r.Helper()
	out := map[string][]string{}
	for i := 0; i < len(words); i++ {
		name, is := strings.CutPrefix(words[i], "--")
		require.True(r, is, "%v", words)
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
			out[name] = append(out[name], words[i+1])
			i++
			continue
		}
		out[name] = append(out[name], "")
	}
	return out
}

// alterConfigs does what kafka-configs.sh does.
func (r *rig) alterConfigs(words []string) {
	r.Helper()
	f := flags(r, words)
	require.Equal(r, []string{"topics"}, f["entity-type"])
	require.Contains(r, f, "alter")
	require.Contains(r, f, "bootstrap-server")
	key, value, found := strings.Cut(f["add-config"][0], "=")
	require.True(r, found)
	results, err := r.admin.AlterTopicConfigs(r.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, f["entity-name"][0])
	require.NoError(r, err)
	for _, result := range results {
		require.NoError(r, result.Err)
	}
}

// addACLs does what kafka-acls.sh does.
func (r *rig) addACLs(words []string) {
	r.Helper()
	f := flags(r, words)
	require.Contains(r, f, "add")
	require.Contains(r, f, "bootstrap-server")
	b := kadm.NewACLs().Allow(f["allow-principal"]...).AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	switch {
	case f["topic"] != nil:
		b.Topics(f["topic"]...)
	case f["transactional-id"] != nil:
		b.TransactionalIDs(f["transactional-id"]...)
	case f["group"] != nil:
		b.Groups(f["group"]...)
	default:
		require.Contains(r, f, "cluster")
		b.Clusters()
	}
	if f["resource-pattern-type"] != nil {
		require.Equal(r, []string{"prefixed"}, f["resource-pattern-type"])
		b.ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	var operations []kadm.ACLOperation
	for _, name := range f["operation"] {
		var op kadm.ACLOperation
		require.NoError(r, op.UnmarshalText([]byte(strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2")))))
		operations = append(operations, op)
	}
	b.Operations(operations...)
	results, err := r.admin.CreateACLs(r.Context(), b)
	require.NoError(r, err)
	require.NotEmpty(r, results)
	for _, result := range results {
		require.NoError(r, result.Err)
	}
}

// fixed breaks something, sees the check fail (or warn), runs what it printed, and sees it good.
func (r *rig) fixed(slug string, level Level, says string, before ...func()) Check {
	r.Helper()
	report := r.check()
	c, is := bad(report, slug)
	require.True(r, is, "%s is not found:\n%s", slug, textOf(report))
	require.Equal(r, level, c.Level, "%+v", c)
	require.Contains(r, c.Message, says)
	require.Equal(r, level != LevelError, c.OK)
	if level == LevelError {
		require.False(r, report.OK)
	}
	r.apply(c)
	for _, f := range before {
		f()
	}
	r.good(r.check(), slug)
	return c
}
