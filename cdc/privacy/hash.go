package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	stdhash "hash"
	"strconv"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// hash replaces a value by a token: "<key id>:" and 64 hexadecimal digits,
//
//	subkey = HMAC-SHA-256(key, "domain:" + domain)
//	token  = id + ":" + hex(HMAC-SHA-256(subkey, Postgres' text of the value))
//
// so that equal texts of one domain have equal tokens for all their types (an integer 42 and a text '42' join), tokens
// of different domains never join, and unequal texts have unequal tokens: a key stays a key. It is a pseudonym, not
// anonymity: who has the key can try values.
type hash struct {
	prefix string
	mac    stdhash.Hash
	sum    [sha256.Size]byte
	print  string
}

func newHash(keys HashKeys, domain string) (*hash, error) {
	if keys.ID == "" || len(keys.Key) == 0 {
		return nil, cdc.Failed("policy hash has no key").Fix("set privacy.hash.keys")
	}
	return &hash{
		prefix: keys.ID + ":",
		mac:    hmac.New(sha256.New, derive(keys.Key, "domain:"+domain)),
		print:  "hash " + keys.ID + " " + hex.EncodeToString(derive(keys.Key, "policy print")[:8]) + " " + strconv.Quote(domain),
	}, nil
}

// derive makes a key for one purpose; "domain:…" and other purposes never coincide.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

func (h *hash) Policy() string       { return "hash" }
func (h *hash) Output() schemas.Type { return textType() }
func (h *hash) Print() string        { return h.print }

func (h *hash) Apply(dst, text []byte) ([]byte, error) {
	h.mac.Reset()
	h.mac.Write(text)
	sum := h.mac.Sum(h.sum[:0])
	return hex.AppendEncode(append(dst, h.prefix...), sum), nil
}
