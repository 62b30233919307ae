package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

const hashing = `privacy: {columns: {public.a: {x: hash}}}`

func TestKeyIsMadeOnce(t *testing.T) {
	cfg := parse(t, with(hashing))
	require.Equal(t, filepath.Join(filepath.Dir(cfg.Path()), "dirtbike.hash.key"), cfg.HashKeyFile())
	keys := make([]string, 8)
	var wait sync.WaitGroup
	for i := range keys {
		wait.Go(func() {
			id, key, err := cfg.HashKey()
			if err == nil && id == "k1" {
				keys[i] = hex.EncodeToString(key)
			}
		})
	}
	wait.Wait()
	require.Len(t, keys[0], 64)
	for _, key := range keys {
		require.Equal(t, keys[0], key)
	}
	text, err := os.ReadFile(cfg.HashKeyFile())
	require.NoError(t, err)
	require.Equal(t, keys[0]+"\n", string(text))
	info, err := os.Stat(cfg.HashKeyFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(cfg.Path()))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

// TestAMissingKeyIsNotMade for those who only read.
func TestAMissingKeyIsNotMade(t *testing.T) {
	cfg := parse(t, with(hashing))
	_, _, err := cfg.ExistingHashKey()
	require.True(t, cfg.HashKeyMissing())
	require.Contains(t, cdc.Explain(err).What, cfg.HashKeyFile())
	require.Len(t, cdc.Explain(err).Try, 2)
	entries, err := os.ReadDir(filepath.Dir(cfg.Path()))
	require.NoError(t, err)
	require.Empty(t, entries)
	_, made, err := cfg.HashKey()
	require.NoError(t, err)
	id, key, err := cfg.ExistingHashKey()
	require.NoError(t, err)
	require.Equal(t, "k1", id)
	require.Equal(t, made, key)
	id, key, err = parse(t, with("privacy: {mode: open}")).ExistingHashKey()
	require.NoError(t, err)
	require.Empty(t, id, key)
}

func TestNoKeyWithoutHashing(t *testing.T) {
	for _, section := range []string{"", "privacy: {mode: open}", `privacy: {columns: {public.a: {x: mask}}}`} {
		cfg := parse(t, with(section))
		id, key, err := cfg.HashKey()
		require.NoError(t, err)
		require.Empty(t, id)
		require.Nil(t, key)
		require.NoFileExists(t, cfg.HashKeyFile())
	}
}

func TestKeyFileIsNotTrustedBlindly(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		try  string
	}{
		"readable by others": {testHashKey, 0o640, "chmod 600 /"},
		"short":              {"0102", 0o600, "restore it"},
		"empty":              {"", 0o600, "restore it"},
		"no hex":             {strings.Repeat("hunter2!", 8), 0o600, "restore it"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, with(hashing))
			require.NoError(t, os.WriteFile(cfg.HashKeyFile(), []byte(test.text), 0o600))
			require.NoError(t, os.Chmod(cfg.HashKeyFile(), test.mode))
			_, key, err := cfg.HashKey()
			require.Contains(t, requireTry(t, err)[0], test.try)
			require.Contains(t, cdc.Explain(err).What, cfg.HashKeyFile())
			require.NotContains(t, err.Error(), "hunter2")
			require.Nil(t, key)
		})
	}
}

func TestKeyThatCannotBeMade(t *testing.T) {
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "none", "dirtbike.yaml"), []byte(with(hashing)))
	require.NoError(t, err)
	_, _, err = cfg.HashKey()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Contains(t, requireTry(t, err)[0], "privacy.hash.keys")
}

func TestKeysOfTheConfig(t *testing.T) {
	raw := []byte("hM3xW8qTz5RbNf2YkPv7LcJd9GsAe4Ut")
	for name, text := range map[string]string{
		"hex": hex.EncodeToString(raw), "base64": base64.StdEncoding.EncodeToString(raw), "text": string(raw[:31]) + "\u00fc",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, with(`privacy: {columns: {public.a: {x: hash}}, hash: {active: k2, keys: {k1: "`+testToken+`", k2: "`+text+`"}}}`))
			id, key, err := cfg.HashKey()
			require.NoError(t, err)
			require.Equal(t, "k2", id)
			if name == "text" {
				require.Equal(t, text, string(key))
				return
			}
			require.Equal(t, raw, key)
		})
	}
}

func TestTheOnlyKeyIsActive(t *testing.T) {
	id, key, err := parse(t, with(`privacy: {columns: {public.a: {x: hash}}, hash: {keys: {k7: "`+testToken+`"}}}`)).HashKey()
	require.NoError(t, err)
	require.Equal(t, "k7", id)
	require.Equal(t, []byte(testToken), key)
}

func TestFingerprint(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	require.Equal(t, "1906d510ca0c92c8", config.Fingerprint("k1", key), "it is in the state of running pipelines: it must never change")
	require.NotEqual(t, config.Fingerprint("k1", key), config.Fingerprint("k2", key))
	require.NotEqual(t, config.Fingerprint("k1", key), config.Fingerprint("k1", key[1:]))
}
