package avro

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMurmur2 has the constants of the Java client's own test (UtilsTest.testMurmur2).
func TestMurmur2(t *testing.T) {
	for s, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		require.Equal(t, want, int32(murmur2([]byte(s))), s)
	}
}

// TestPartition: records go where every other client would put them.
func TestPartition(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for range 10_000 {
		key := make([]byte, 1+r.IntN(40))
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		n := 1 + r.IntN(60)
		require.EqualValues(t, theirs.Partition(&kgo.Record{Key: key}, n), partition(key, int32(n)), fmt.Sprintf("%x of %d", key, n))
	}
}
