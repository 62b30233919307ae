package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// TestProducers: whoever has committed to the state topic counts, also an older build that declared nothing; what was
// written outside of a transaction, or was aborted, does not.
func TestProducers(t *testing.T) {
	seeds := fakeCluster(t).ListenAddrs()
	s := newSink(t, options(seeds, "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	mine, _, err := s.client.Load().ProducerID(t.Context())
	require.NoError(t, err)
	ids, err := s.Producers(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{mine}, ids)

	record := func() *kgo.Record {
		return &kgo.Record{Topic: s.o.stateTopic(), Key: []byte(keyOwner), Value: []byte(`{"format":1}`)}
	}
	write := func(transactional string, end kgo.TransactionEndTry) int64 {
		opts := []kgo.Opt{kgo.SeedBrokers(seeds...)}
		if transactional != "" {
			opts = append(opts, kgo.TransactionalID(transactional))
		}
		client, err := kgo.NewClient(opts...)
		require.NoError(t, err)
		defer client.Close()
		if transactional != "" {
			require.NoError(t, client.BeginTransaction())
		}
		require.NoError(t, client.ProduceSync(t.Context(), record()).FirstErr())
		if transactional != "" {
			require.NoError(t, client.EndTransaction(t.Context(), end))
		}
		id, _, err := client.ProducerID(t.Context())
		require.NoError(t, err)
		return id
	}
	write("", false)
	write("aborted", kgo.TryAbort)
	older := write("older build", kgo.TryCommit)
	ids, err = s.Producers(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []int64{mine, older}, ids)
}

// TestDeclaredAgain: under another id, as Kafka gives it when the epochs of one are used up, the next commit declares
// it.
func TestDeclaredAgain(t *testing.T) {
	s := newSink(t, options(fakeCluster(t).ListenAddrs(), "clinic"))
	_, err := s.Recover(t.Context())
	require.NoError(t, err)
	before := s.owner.last.Load()
	_, err = s.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 1}, Reported: 1})
	require.NoError(t, err)
	require.EqualValues(t, before+2, s.owner.last.Load(), "a marker and the point")
	s.owner.declared = s.owner.declared + 1 // as if that had been the id
	_, err = s.Commit(t.Context(), cdc.Point{Position: cdc.Position{Epoch: 1, CommitLSN: 2}, Reported: 2})
	require.NoError(t, err)
	require.EqualValues(t, before+5, s.owner.last.Load(), "a marker, the point and the declaration")
	require.Equal(t, s.owner.producer.Load(), s.owner.declared)
	declared := s.o.declaration(s.owner.declared)
	require.NoError(t, foldState(&cdc.State{}, declared.Key, declared.Value), "the state with declarations can be read")
}
