package kafka

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"dirtbike/cdc"
	"dirtbike/cdc/sinktest"
)

// requireRefused holds a refusal to what an operator needs: what is safe, and ways out, among which is one with the
// command.
func requireRefused(t *testing.T, err error, command string) *cdc.Problem {
	t.Helper()
	require.ErrorIs(t, err, cdc.ErrRefused)
	require.NotErrorIs(t, err, cdc.ErrFenced)
	var p *cdc.Problem
	require.ErrorAs(t, err, &p)
	require.NotEmpty(t, p.Safe)
	require.True(t, slices.ContainsFunc(p.Remedies(), func(r cdc.Remedy) bool { return strings.Contains(r.Command, command) }), "%q: %v", command, p.Remedies())
	return p
}

// requireFailedAt requires that a record of that partition was not taken.
func requireFailedAt(t *testing.T, err error, topic string, partition int32) {
	t.Helper()
	var at *produceError
	require.ErrorAs(t, err, &at)
	require.Equal(t, []any{topic, partition}, []any{at.topic, at.partition})
}

func unconnected(t *testing.T) *Sink {
	t.Helper()
	return newSink(t, options(nil, "clinic"))
}

func TestWhatAnotherTryCannotFixIsRefused(t *testing.T) {
	s := unconnected(t)
	for _, test := range []struct {
		err  *kerr.Error
		says string
	}{
		{kerr.TopicAuthorizationFailed, `on topics with prefix "clinic." and on "_dirtbike.clinic.state", "_dirtbike.clinic.progress" and "_dirtbike.clinic.control"`},
		{kerr.GroupAuthorizationFailed, "grant Read"},
		{kerr.ClusterAuthorizationFailed, "grant IdempotentWrite"},
		{kerr.TransactionalIDAuthorizationFailed, `on transactional id "dirtbike.clinic.slot"`},
		{kerr.SaslAuthenticationFailed, "kafka.sasl"},
		{kerr.UnsupportedSaslMechanism, "kafka.sasl"},
		{kerr.IllegalSaslState, "kafka.sasl"},
		{kerr.MessageTooLarge, "kafka.max_message_bytes=1048576"},
		{kerr.RecordListTooLarge, "kafka.max_message_bytes=1048576"},
		{kerr.UnsupportedCompressionType, "kafka.compression"},
		{kerr.UnsupportedVersion, "upgrade the brokers"},
		{kerr.UnsupportedForMessageFormat, "upgrade the brokers"},
	} {
		for _, err := range []error{test.err, &kadm.AuthError{Err: test.err}, &produceError{"t", 0, test.err}, fmt.Errorf("%w (%w)", test.err, kerr.OperationNotAttempted)} {
			requireRefused(t, s.o.explain("commit", err), test.says)
		}
	}
}

// What passes by itself is worth another try, as is fencing a matter of its own.
func TestWhatPassesIsNotRefused(t *testing.T) {
	s := unconnected(t)
	errs := []error{
		kerr.ConcurrentTransactions, kerr.OperationNotAttempted, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.TransactionCoordinatorFenced,
		kerr.TransactionAbortable, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.UnknownServerError, kerr.OffsetOutOfRange,
		kerr.InvalidRecord, kerr.InvalidReplicationFactor, errTimedOut, errNotRecovered, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded,
		kgo.ErrClientClosed, kgo.ErrRecordTimeout,
	}
	for code := int16(-1); code < 200; code++ {
		if err := kerr.ErrorForCode(code); kerr.IsRetriable(err) {
			errs = append(errs, err)
		}
	}
	require.Contains(t, errs, error(kerr.UnknownTopicOrPartition))
	require.Contains(t, errs, error(kerr.NotLeaderForPartition))
	require.Contains(t, errs, error(kerr.CoordinatorNotAvailable))
	for _, err := range errs {
		require.NotErrorIs(t, s.o.explain("commit", err), cdc.ErrRefused)
		require.NotErrorIs(t, s.o.explain("commit", err), cdc.ErrFenced)
	}
	for _, err := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch} {
		require.ErrorIs(t, s.o.explain("commit", err), cdc.ErrFenced)
		require.NotErrorIs(t, s.o.explain("commit", err), cdc.ErrRefused)
	}
}

func TestBrokersThatAreAwayAreNoRefusal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := newSink(t, options([]string{fmt.Sprint("127.0.0.1:", freePort(t))}, "clinic")).Recover(ctx)
	require.Error(t, err)
	require.NotErrorIs(t, err, cdc.ErrRefused)
}

func login(o Options, user, password string) Options {
	o.Client = append(o.Client, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	return o
}

// kfake only hangs up on a wrong password; the answer here is Apache Kafka's.
func TestWrongPasswordIsRefused(t *testing.T) {
	cluster := fakeCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "dirtbike", "changed"))
	var corrected atomic.Bool
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil, !corrected.Load()
	})
	s := newSink(t, login(options(cluster.ListenAddrs(), "clinic"), "dirtbike", "changed"))
	_, err := s.Recover(t.Context())
	requireRefused(t, err, "kafka.sasl")
	require.ErrorIs(t, err, kerr.SaslAuthenticationFailed)
	require.NotContains(t, err.Error(), "changed")
	corrected.Store(true)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
}

// guarded is a cluster with a user that may do everything until something is denied.
func guarded(t *testing.T) (seeds []string, o Options, admin *kadm.Client) {
	t.Helper()
	seeds = fakeCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"), kfake.User("PLAIN", "dirtbike", "secret")).ListenAddrs()
	root := login(options(seeds, "clinic"), "root", "root")
	client, err := kgo.NewClient(root.Client...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin = kadm.NewClient(client)
	everything := kadm.NewACLs().Allow("User:dirtbike").AllowHosts().Topics("*").TransactionalIDs("*").Clusters().ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpAll)
	requireACLs(t, admin, everything)
	return seeds, login(options(seeds, "clinic"), "dirtbike", "secret"), admin
}

func requireACLs(t *testing.T, admin *kadm.Client, b *kadm.ACLBuilder) {
	t.Helper()
	results, err := admin.CreateACLs(t.Context(), b)
	require.NoError(t, err)
	for _, r := range results {
		require.NoError(t, r.Err)
	}
}

// A right that is taken away while capture streams stops it at once; what was not committed is nowhere, what was stays.
func TestRevokedRightStopsTheStream(t *testing.T) {
	denied := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Deny("User:dirtbike").DenyHosts().ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite)
	}
	for name, acl := range map[string]*kadm.ACLBuilder{
		"the table's topic":  denied().Topics("clinic.public.claims"),
		"the state topic":    denied().Topics("_dirtbike.clinic.state"),
		"the progress topic": denied().Topics("_dirtbike.clinic.progress"),
		"transactional id":   denied().TransactionalIDs("dirtbike.clinic.slot"),
	} {
		t.Run(name, func(t *testing.T) {
			seeds, o, admin := guarded(t)
			topic := claims("clinic", 3)
			s := started(t, o, topic)
			requireACLs(t, admin, acl)
			_, err := s.Write(t.Context(), chunkOf(topic, "a", 30))
			if err == nil {
				_, err = s.Commit(t.Context(), sinktest.PointAt(2))
			}
			requireRefused(t, err, "grant ")
			require.True(t, isDenied(err))
			_, err = s.Write(t.Context(), chunkOf(topic, "b", 1))
			require.ErrorIs(t, err, errRecoverFirst)

			_, err = admin.DeleteACLs(t.Context(), acl)
			require.NoError(t, err)
			state, err := s.Recover(t.Context())
			require.NoError(t, err)
			require.Equal(t, sinktest.PointAt(1), state.Point)
			require.Empty(t, readCommitted(t, seeds, topic.Name, login(Options{}, "root", "root").Client...))
		})
	}
}

// A topic that takes smaller records than capture writes, found while it streams.
func TestRecordThatTheTopicRefuses(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	s := started(t, options(cluster.ListenAddrs(), "clinic"), topic)
	_, err := s.topics.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("200")}}, topic.Name)
	require.NoError(t, err)
	_, err = s.Write(t.Context(), chunkOf(topic, "a", 100))
	if err == nil {
		_, err = s.Commit(t.Context(), sinktest.PointAt(2))
	}
	requireRefused(t, err, "kafka.max_message_bytes")
	require.ErrorIs(t, err, kerr.MessageTooLarge)
	requireFailedAt(t, err, topic.Name, 0)
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.EnsureTopic(t.Context(), topic)
	requireSetting(t, err, topic.Name, "max.message.bytes")
	require.Empty(t, readCommitted(t, cluster.ListenAddrs(), topic.Name))
}

// After kafka.max_message_bytes was raised all topics that need it are named at once, and once they have it a start
// goes on.
func TestRaisedMessageBytes(t *testing.T) {
	cluster, topic := fakeCluster(t), claims("clinic", 1)
	o := options(cluster.ListenAddrs(), "clinic")
	require.NoError(t, started(t, o, topic).Close(t.Context()))
	o.MaxMessageBytes = 5 << 20
	s := newSink(t, o)
	_, err := s.Recover(t.Context())
	require.ErrorIs(t, err, cdc.ErrRefused)
	all := []string{s.o.controlTopic(), s.o.progressTopic(), s.o.stateTopic(), topic.Name}
	require.Contains(t, cdc.Explain(err).What, "kafka.max_message_bytes=5242880: "+strings.Join(all, ", ")+": ")
	require.Equal(t, []cdc.Remedy{{Command: "dirtbike check, which prints the command for each of them"}, {Command: "put kafka.max_message_bytes back"}}, cdc.Explain(err).Try)
	found, err := s.Inspect(t.Context(), []*cdc.Topic{topic})
	require.NoError(t, err)
	require.Len(t, found, len(all))
	for _, one := range found {
		requireSetting(t, one.Err, one.Topic, "max.message.bytes")
		_, err := adminOf(t, cluster.ListenAddrs()).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: kadm.StringPtr("5242880")}}, one.Topic)
		require.NoError(t, err)
	}
	_, err = s.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.EnsureTopic(t.Context(), topic)
	require.NoError(t, err)
}

// Below what our own topics take anyway they show nothing: then the tables' topics are compared, and where one of
// several fits the others are their tables' trouble alone.
func TestRaisedMessageBytesOfTablesAlone(t *testing.T) {
	cluster, topic, sites := fakeCluster(t), claims("clinic", 1), &cdc.Topic{Name: "clinic.public.sites", Partitions: 1}
	former := options(cluster.ListenAddrs(), "clinic")
	former.MaxMessageBytes = 64 << 10
	s := started(t, former, topic)
	ensureTopic(t, s, sites)
	_, err := s.Commit(t.Context(), sinktest.PointAt(2), sinktest.Table("sites", sites.Name))
	require.NoError(t, err)
	require.NoError(t, s.Close(t.Context()))
	raised := former
	raised.MaxMessageBytes = 1 << 20
	s = newSink(t, raised)
	_, err = s.Recover(t.Context())
	p := requireRefused(t, err, "dirtbike check, which prints the command for each of them")
	require.Nil(t, cdc.OfOneTable(err))
	require.Contains(t, p.What, "kafka.max_message_bytes=1048576: "+topic.Name+", "+sites.Name)

	require.Contains(t, p.Try, cdc.Remedy{Command: "put kafka.max_message_bytes back"})
	back := newSink(t, former)
	_, err = back.Recover(t.Context())
	require.NoError(t, err)
	require.False(t, ensureTopic(t, back, topic))
	require.NoError(t, back.Close(t.Context()))

	admin := adminOf(t, cluster.ListenAddrs())
	for _, one := range []*cdc.Topic{topic, sites} {
		found, err := s.Inspect(t.Context(), []*cdc.Topic{one}) // which check asks
		require.NoError(t, err)
		takeSetting(t, admin, found[len(found)-1].Err)
		_, err = s.Recover(t.Context())
		require.NoError(t, err)
		require.False(t, ensureTopic(t, s, one))
		if one == topic {
			_, err = s.EnsureTopic(t.Context(), sites)
			require.NotNil(t, cdc.OfOneTable(err))
			lower := newSink(t, former) // the other way out of that
			require.Contains(t, cdc.Explain(err).Try, cdc.Remedy{Command: "lower kafka.max_message_bytes"})
			_, err = lower.Recover(t.Context())
			require.NoError(t, err)
			require.False(t, ensureTopic(t, lower, sites))
		}
	}
}

// Progress that another release wrote is not guessed at.
func TestProgressFromTheFutureStopsRecover(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	s := started(t, options(seeds, "clinic"), claims("clinic", 1))
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, forge(t, client, true, &kgo.Record{Topic: s.o.stateTopic(), Key: []byte(keyOwner), Value: []byte(`{"format":2}`)},
		&kgo.Record{Topic: s.o.progressTopic(), Value: []byte(`{"format":9}`)}))
	_, err = s.Recover(t.Context())
	requireRefused(t, err, "upgrade dirtbike")
	require.ErrorIs(t, err, errNewerFormat)
}
