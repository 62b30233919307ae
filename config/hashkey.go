package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dirtbike/cdc"
)

const (
	// madeKeyID is the id of a key that dirtbike made itself.
	madeKeyID = "k1"
	// minHashKey is the least length of a key in bytes: 128 bits cannot be guessed.
	minHashKey = 16
	// madeHashKey is the length in bytes of a key that dirtbike makes.
	madeHashKey = 32
	// fingerprinted is the constant whose HMAC is the fingerprint; changing it would look like a changed key
	// everywhere.
	fingerprinted = "dirtbike hash key fingerprint v1:"
)

// HashKey returns the id and the bytes of the key that the policy hash uses. If no column has that policy, the id is
// empty and the key nil. Without privacy.hash.keys it reads the file [Config.HashKeyFile], and makes it first, with
// mode 600, if there is none; of two processes that do so at once, both get the same key. A made file is durable before
// HashKey returns.
func (c *Config) HashKey() (id string, key []byte, err error) {
	if c.HashKeyMissing() {
		if err = makeHashKey(c.HashKeyFile()); err != nil {
			return "", nil, cdc.Failed("make hash key %s", Named(c.HashKeyFile())).Because(cause(err)).Fix("set privacy.hash.keys to keep it elsewhere")
		}
	}
	return c.ExistingHashKey()
}

// ExistingHashKey is HashKey for programs that only read: a missing file is an error, as hashes would look different.
func (c *Config) ExistingHashKey() (id string, key []byte, err error) {
	switch {
	case !c.Privacy.Hashes():
		return "", nil, nil
	case len(c.Privacy.Hash.Keys) > 0:
		id = c.Privacy.Hash.activeID()
		key, err = decodeHashKey(c.Privacy.Hash.Keys[id].Reveal())
		return id, key, err
	}
	path := c.HashKeyFile()
	if c.HashKeyMissing() {
		return "", nil, cdc.Failed("hash key %s is missing", Named(path)).Fix("copy it from where capture runs").Fix("set privacy.hash.keys")
	}
	if key, err = readHashKey(path); err != nil {
		return "", nil, fmt.Errorf("hash key %s: %w", Named(path), err)
	}
	return madeKeyID, key, nil
}

// HashKeyMissing reports whether HashKey would make the file.
func (c *Config) HashKeyMissing() bool {
	if !c.Privacy.Hashes() || len(c.Privacy.Hash.Keys) > 0 {
		return false
	}
	_, err := os.Stat(c.HashKeyFile())
	return errors.Is(err, fs.ErrNotExist)
}

// HashKeyFile is the file of a key made by dirtbike: "dirtbike.hash.key" for "dirtbike.yaml".
func (c *Config) HashKeyFile() string {
	path := c.Path()
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".hash.key"
}

// Fingerprint distinguishes keys and reveals nothing about them: 16 hexadecimal digits.
func Fingerprint(id string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(fingerprinted + id))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// activeID is the id of the key in use: the named one, else the only one.
func (h Hash) activeID() string {
	if h.Active != "" || len(h.Keys) != 1 {
		return h.Active
	}
	for id := range h.Keys {
		return id
	}
	return ""
}

var errHashKey = cdc.Failed("not a key: it needs at least %d bytes, as hex, base64 or text", minHashKey).Fix("openssl rand -hex 32")

// decodeHashKey reads hex, else padded base64 (either alphabet), else the text itself. The order must never change.
func decodeHashKey(text string) ([]byte, error) {
	decoders := []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.Strict().DecodeString, base64.URLEncoding.Strict().DecodeString,
	}
	for _, decode := range decoders {
		if key, err := decode(text); err == nil && len(key) >= minHashKey {
			return key, nil
		}
	}
	if len(text) < minHashKey {
		return nil, errHashKey
	}
	return []byte(text), nil
}

// readHashKey reads a file that makeHashKey made; its errors say what to do, but leave the path to the caller.
func readHashKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, cdc.Failed("other users may read or write it (mode %o)", info.Mode().Perm()).Fix("chmod 600 %s", cdc.ShellWord(path))
	}
	data, err := readLimited(path, maxSecret)
	if err != nil {
		return nil, cdc.Failed("%v", cause(err)).Fix("%s", tryFile(path, cdc.ShellWord(path), err))
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != madeHashKey {
		return nil, cdc.Failed("damaged: not %d bytes in hex", madeHashKey).Fix("restore it from a backup; another key would change every hash")
	}
	if why := guessable(strings.TrimSpace(string(data)), key); why != "" {
		return nil, cdc.Failed("dirtbike did not make this key, and it can be guessed: %s", why).
			Fix("restore it from a backup").Fix("remove it, then %s", cdc.ResnapshotAllCommand)
	}
	return key, nil
}

// makeHashKey links a whole file into place: none sees it half written, and of two makers the first one's key stays.
func makeHashKey(path string) (err error) {
	key := make([]byte, madeHashKey)
	rand.Read(key) // it never returns an error: it ends the process instead
	temporary, err := os.CreateTemp(filepath.Dir(path), ".hash.key-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temporary.Name())) }()
	_, err = temporary.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err = os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
