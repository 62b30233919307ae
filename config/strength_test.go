package config_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

// TestGuessableHashKeys: a key that others can guess is refused, whatever its length and its encoding; its text is not
// repeated.
func TestGuessableHashKeys(t *testing.T) {
	for _, key := range []string{
		strings.Repeat("a", 16), strings.Repeat("a", 64), strings.Repeat("ab", 12), "abc123abc123abc123abc123", "aaaaaaaabbbbbbbb",
		"0123456789abcdef", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "9876543210zyxwvu",
		strings.Repeat("00", 32), strings.Repeat("0f1e2d3c", 8), hex.EncodeToString(counted(32)), base64.StdEncoding.EncodeToString(counted(32)),
		"passwordpassword", "Passw0rd12345678", "password!!!!!!!!!!", "changemechangeme1", "correct horse battery staple", "correct-horse-battery-staple",
		"hospital-secret-key", "dirtbike-hash-key", "of-the-test-of-the-documents", "k123456789abcdef", "19850412198504121985",
		hex.EncodeToString([]byte("passwordpassword")), base64.StdEncoding.EncodeToString([]byte("changeme changeme")),
		base64.StdEncoding.EncodeToString(make([]byte, 32)), base64.RawURLEncoding.EncodeToString([]byte("dirtbike-hash-key-0001")), "00112233445566778899aabbccddeeff",
		"d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "6b3a55e0261b0304143f805a24924d0c1c44524821305f31d9277843b8a10f4e",
		base64.StdEncoding.EncodeToString([]byte(strings.Repeat("A", 43) + "=")),
	} {
		_, err := config.Parse("dirtbike.yaml", []byte(with(`privacy: {columns: {public.a: {x: hash}}, hash: {keys: {k123456789abcdef: "`+key+`"}}}`)))
		require.Error(t, err, key)
		requireKey(t, err, "privacy.hash.keys.k123456789abcdef")
		require.NotContains(t, strings.ReplaceAll(err.Error(), "k123456789abcdef", ""), key)
	}
}

func counted(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(3 * i)
	}
	return out
}

// TestRandomHashKeys: what the advice makes is taken, in each form, and so is a text of random letters.
func TestRandomHashKeys(t *testing.T) {
	for range 50 {
		random := make([]byte, 32)
		rand.Read(random)
		letters := make([]byte, 24)
		for i := range letters {
			letters[i] = 'a' + random[i]%26
		}
		for _, key := range []string{
			hex.EncodeToString(random), hex.EncodeToString(random[:16]), base64.StdEncoding.EncodeToString(random), base64.URLEncoding.EncodeToString(random), string(letters),
		} {
			parse(t, with(`privacy: {columns: {public.a: {x: hash}}, hash: {keys: {k1: "`+key+`"}}}`))
			parse(t, with(`ops: {listen: "0.0.0.0:1", token: "`+key+`"}`))
		}
	}
}

// TestAGuessableKeyFile: one that dirtbike made is random; another may not be.
func TestAGuessableKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	cfg, err := config.Parse(path, []byte(with(hashing)))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cfg.HashKeyFile(), []byte(strings.Repeat("00", 32)+"\n"), 0o600))
	_, _, err = cfg.HashKey()
	require.Error(t, err)
	requireTry(t, err)
}

// TestOpsBeyondThisMachine: encryption alone lets everybody in: beyond loopback a caller has to show something.
func TestOpsBeyondThisMachine(t *testing.T) {
	const token = `token: "5ad0a8f2c93e4b17a6c1de7f80b24c9a"`
	for ops, key := range map[string]string{
		`{listen: "0.0.0.0:1", tls: {cert: a, key: b}}`:                                   "ops.listen",
		`{listen: ":1", tls: {cert: a, key: b}}`:                                          "ops.listen",
		`{listen: "[::]:1", tls: {cert: a, key: b}}`:                                      "ops.listen",
		`{listen: "host.example:1", tls: {cert: a, key: b}}`:                              "ops.listen",
		`{listen: "0.0.0.0:1"}`:                                                           "ops.listen",
		`{listen: "0.0.0.0:1", tls: {cert: a, key: b, ca: c}}`:                            "",
		`{listen: "0.0.0.0:1", tls: {cert: a, key: b}, ` + token + `}`:                    "",
		`{listen: "0.0.0.0:1", ` + token + `}`:                                            "",
		`{listen: "127.0.0.1:1", tls: {cert: a, key: b}}`:                                 "",
		`{listen: "[::1]:1"}`:                                                             "",
		`{listen: "0.0.0.0:1", token: aaaaaaaaaaaaaaaa}`:                                  "ops.token",
		`{listen: "0.0.0.0:1", token: token-of-the-operators}`:                            "ops.token",
		`{listen: "127.0.0.1:1", token: 0123456789abcdef}`:                                "ops.token",
		`{listen: "0.0.0.0:1", tls: {cert: a, key: b, ca: c}, token: "1234567890123456"}`: "ops.token",
	} {
		_, err := config.Parse("dirtbike.yaml", []byte(with("ops: "+ops)))
		if key == "" {
			require.NoError(t, err, ops)
		} else {
			requireKey(t, err, key)
		}
	}
}
