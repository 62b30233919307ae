package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"dirtbike/docker/oracle"
)

// TestKafkaRights runs capture and load as two users who have exactly the rights of OPERATIONS.md; without them capture
// says what is missing. A right to the topic of one table that is taken away costs that table only.
func TestKafkaRights(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, "CREATE TABLE others (id int PRIMARY KEY); CREATE TABLE claims (id int PRIMARY KEY, v text); INSERT INTO claims SELECT g, 'v' || g FROM generate_series(1, 100) g")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"),
		kfake.User("PLAIN", "capture", "secret"), kfake.User("PLAIN", "load", "secret"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	asUser := func(user string) { r.loginToKafka(cluster.ListenAddrs()[0], user) }

	asUser("capture")
	refused := r.start("capture")
	require.Eventually(t, func() bool { return !refused.running() }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, exitWrong, refused.cmd.ProcessState.ExitCode(), refused.output())
	require.Contains(t, refused.output(), "Try: grant ")

	r.grantKafkaRights(cluster.ListenAddrs())
	capture := r.start("capture")
	asUser("load")
	load := r.start("load")
	r.wait()
	r.exec("UPDATE claims SET v = 'new' WHERE id < 50; DELETE FROM claims WHERE id > 90; TRUNCATE claims; INSERT INTO claims VALUES (1, 'last')")
	r.wait()
	r.equal(oracle.Options{})
	require.NotContains(t, capture.output()+load.output(), "AUTHORIZATION_FAILED")

	admin := rootOfKafka(t, cluster.ListenAddrs())
	for n, one := range []struct {
		user string
		op   kadm.ACLOperation
	}{{"load", kadm.OpRead}, {"capture", kadm.OpWrite}} {
		denied := func() *kadm.ACLBuilder {
			return kadm.NewACLs().Topics(r.name + ".public.others").ResourcePatternType(kadm.ACLPatternLiteral).Deny("User:" + one.user).DenyHosts().Operations(one.op)
		}
		r.grant(admin, denied())
		r.exec("INSERT INTO others VALUES ($1)", n)
		r.exec("INSERT INTO claims VALUES ($1, 'goes on')", 200+n)
		r.eventually("claims", 2+n)
		require.EqualValues(t, n, r.rows("others"))
		_, err := admin.DeleteACLs(t.Context(), denied())
		require.NoError(t, err)
		if one.user == "capture" { // a start tries again at once
			capture.stop()
			asUser("capture")
			capture = r.start("capture")
		}
		r.eventually("others", n+1)
		r.wait()
	}
	r.equal(oracle.Options{})
	capture.stop()
	load.stop()
}

// rows counts those of a view; 0 where it cannot be read.
func (r *rig) rows(view string) (n uint64) {
	r.Helper()
	_ = r.ch().QueryRow(r.Context(), "SELECT count() FROM "+r.name+"."+view).Scan(&n)
	return n
}

// eventually waits until a view has so many rows.
func (r *rig) eventually(view string, rows int) {
	r.Helper()
	require.Eventually(r, func() bool { return r.rows(view) == uint64(rows) }, 60*time.Second, 100*time.Millisecond, view)
}

// rootOfKafka is an administrator's client.
func rootOfKafka(t *testing.T, seeds []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// loginToKafka makes the configuration point to a broker, as a user.
func (r *rig) loginToKafka(broker, user string) {
	r.Helper()
	r.config = filepath.Join(r.dir, "dirtbike.yaml")
	r.writeConfig()
	text, err := os.ReadFile(r.config)
	require.NoError(r, err)
	login := `brokers: ["` + broker + `"], sasl: {mechanism: PLAIN, user: ` + user + `, password: secret}, `
	text = regexp.MustCompile(`brokers: \[[^\]]*\], `).ReplaceAllLiteral(text, []byte(login))
	r.config = filepath.Join(r.dir, user+".yaml")
	require.NoError(r, os.WriteFile(r.config, text, 0o600))
}

// aclRow is a row of the table of OPERATIONS.md: resource, name, rights of capture, rights of load.
var aclRow = regexp.MustCompile("(?m)^\\| (topics, prefixed|transactional id|group|cluster)(?: `([^`]+)`)? \\| ([\\w, ]*?) ?\\| ([\\w, ]*?) ?\\|$")

// grantKafkaRights gives the users capture and load the rights of OPERATIONS.md, with the names of this pipeline.
func (r *rig) grantKafkaRights(seeds []string) {
	r.Helper()
	rows := aclRow.FindAllStringSubmatch(documentText(r, operationsFile), -1)
	require.Len(r, rows, 5, "rows of the table of Kafka rights")
	admin := rootOfKafka(r.T, seeds)
	names := strings.NewReplacer("clinic.dirtbike", r.name+"."+r.name, "clinic", r.name)
	for _, row := range rows {
		for i, user := range []string{"capture", "load"} {
			if rights := row[3+i]; rights != "" {
				r.grant(admin, acls(row[1], names.Replace(row[2])).Allow("User:"+user).AllowHosts().Operations(operations(r.T, rights)...))
			}
		}
	}
}

func (r *rig) grant(admin *kadm.Client, b *kadm.ACLBuilder) {
	r.Helper()
	results, err := admin.CreateACLs(r.Context(), b)
	require.NoError(r, err)
	require.NotEmpty(r, results)
	for _, result := range results {
		require.NoError(r, result.Err)
	}
}

// acls begins the rights to a resource of the table.
func acls(resource, name string) *kadm.ACLBuilder {
	b := kadm.NewACLs().ResourcePatternType(kadm.ACLPatternLiteral)
	switch resource {
	case "topics, prefixed":
		return b.Topics(name).ResourcePatternType(kadm.ACLPatternPrefixed)
	case "transactional id":
		return b.TransactionalIDs(name)
	case "group":
		return b.Groups(name)
	}
	return b.Clusters()
}

// operations reads "Describe, DescribeConfigs".
func operations(t *testing.T, rights string) (out []kadm.ACLOperation) {
	t.Helper()
	for right := range strings.SplitSeq(rights, ", ") {
		var op kadm.ACLOperation
		require.NoError(t, op.UnmarshalText([]byte(strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(right, "${1}_$2")))), right)
		out = append(out, op)
	}
	return out
}
