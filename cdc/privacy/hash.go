package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"dirtbike/cdc"
)

// hash replaces a value by a token: "<key id>:" and 64 hexadecimal digits,
//
//	subkey = HMAC-SHA-256(key, "domain:" + domain)
//	token  = id + ":" + hex(HMAC-SHA-256(subkey, Postgres' text of the value))
//
// so that equal texts of one domain have equal tokens for all their types (an integer 42 and a text '42' join), tokens
// of different domains never join, and unequal texts have unequal tokens: a key stays a key. It is a pseudonym, not
// anonymity: who has the key can try values.
func hash(keys HashKeys, domain string) (*transform, error) {
	if keys.ID == "" || len(keys.Key) == 0 {
		return nil, cdc.Failed("policy hash has no key").Fix("set privacy.hash.keys")
	}
	prefix, mac := keys.ID+":", hmac.New(sha256.New, derive(keys.Key, "domain:"+domain))
	var scratch [sha256.Size]byte
	print := "hash " + keys.ID + " " + hex.EncodeToString(derive(keys.Key, "policy print")[:8]) + " " + strconv.Quote(domain)
	return &transform{"hash", textType(), print, func(dst, text []byte, _ int64) ([]byte, error) {
		mac.Reset()
		mac.Write(text)
		return hex.AppendEncode(append(dst, prefix...), mac.Sum(scratch[:0])), nil
	}}, nil
}

// derive makes a key for one purpose; "domain:…" and other purposes never coincide.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
