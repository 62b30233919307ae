package embedded

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// withJournal serves a fresh registry on the journal and runs f against it.
func withJournal(t *testing.T, path string, f func(context.Context, *sr.Client)) {
	t.Helper()
	j, err := openJournal(path, srfake.NewRegistry().Handler())
	require.NoError(t, err)
	s := httptest.NewServer(j)
	c, err := sr.NewClient(sr.URLs(s.URL))
	require.NoError(t, err)
	f(testContext(t), c)
	s.Close()
	require.NoError(t, j.close())
}

func register(t *testing.T, c *sr.Client, subject string, s sr.Schema) int {
	t.Helper()
	got, err := c.CreateSchema(context.Background(), subject, s)
	require.NoError(t, err)
	return got.ID
}

// TestJournalRebuildsEveryID registers, deletes and registers again: ids and versions depend on that whole history.
func TestJournalRebuildsEveryID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	var a, b, c int
	withJournal(t, path, func(ctx context.Context, cl *sr.Client) {
		a = register(t, cl, "a", schemaOf("a"))
		b = register(t, cl, "b", schemaOf("b"))
		require.NoError(t, cl.DeleteSchema(ctx, "b", 1, sr.SoftDelete))
	})
	withJournal(t, path, func(_ context.Context, cl *sr.Client) {
		c = register(t, cl, "c", schemaOf("c"))
		require.Len(t, map[int]bool{a: true, b: true, c: true}, 3)
	})
	withJournal(t, path, func(ctx context.Context, cl *sr.Client) {
		for id, name := range map[int]string{a: "a", b: "b", c: "c"} {
			s, err := cl.SchemaByID(ctx, id)
			require.NoError(t, err)
			require.Equal(t, schemaOf(name).Schema, s.Schema)
		}
	})
}

func TestJournalDoesNotGrowByRepetition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	withJournal(t, path, func(_ context.Context, cl *sr.Client) {
		for range 10 {
			register(t, cl, "a", schemaOf("a"))
		}
	})
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(raw, []byte("\n")))
}

// TestJournalEveryTruncation cuts the file at every byte: what is whole is there, what is torn is gone.
func TestJournalEveryTruncation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	withJournal(t, path, func(_ context.Context, cl *sr.Client) {
		register(t, cl, "a", schemaOf("a"))
		register(t, cl, "b", schemaOf("b"))
	})
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	cut := filepath.Join(dir, "cut")
	for n := range len(raw) + 1 {
		require.NoError(t, os.WriteFile(cut, raw[:n], 0o600))
		fake := srfake.NewRegistry()
		j, err := openJournal(cut, fake.Handler())
		require.NoError(t, err)
		require.NoError(t, j.close())
		whole := bytes.Count(raw[:n], []byte("\n"))
		require.Equal(t, whole >= 1, fake.SubjectExists("a"), n)
		require.Equal(t, whole >= 2, fake.SubjectExists("b"), n)
		left, err := os.ReadFile(cut)
		require.NoError(t, err)
		require.Equal(t, whole, bytes.Count(left, []byte("\n")))
		require.True(t, len(left) == 0 || left[len(left)-1] == '\n')
	}
}

// TestJournalRefusesAnotherAnswer changes an id in the file: a registry that would give out other ids must not start.
func TestJournalRefusesAnotherAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	withJournal(t, path, func(_ context.Context, cl *sr.Client) { register(t, cl, "a", schemaOf("a")) })
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(raw, bytes.Replace(raw, []byte("versions"), []byte("versionz"), 1)...), 0o600))
	_, err = openJournal(path, srfake.NewRegistry().Handler())
	require.ErrorIs(t, err, errAnswer)
}
