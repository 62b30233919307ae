package config

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // to refuse its digests
	"crypto/sha1" //nolint:gosec // to refuse its digests
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"regexp"
	"slices"

	"github.com/trustelem/zxcvbn"
)

// A secret whose values can be tried (a hash of few possible values, a token of an open port) has to be one that nobody
// can guess. Length says little: sixteen letters a are as long as sixteen random ones.
const (
	// leastGuesses is how many guesses a text must take: fifteen random characters do.
	leastGuesses = 1e15
	// leastDistinct is how many different bytes a key must have: sixteen random ones have 15 or 16, seven or fewer in
	// one case of 10^9.
	leastDistinct = 8
	// longestGuessed is how much of a text is examined: the estimate takes its square in time.
	longestGuessed = 64
)

// words is a text of words and separators, without digits: the separators add nothing, and the words are independent.
var words = regexp.MustCompile(`^[A-Za-z]{2,}(?:[^A-Za-z0-9][A-Za-z]{2,})+$`)

var word = regexp.MustCompile(`[A-Za-z]+`)

// guessable says why the secret could be guessed, without repeating it; empty if it could not. known are texts that
// others know, as the key's id.
func guessable(text string, decoded []byte, known ...string) string {
	switch {
	case fewBytes(decoded):
		return "it has too few different characters"
	case periodic(decoded):
		return "it repeats itself"
	case stepping(decoded):
		return "it is a sequence"
	case digested(decoded):
		return "it is the digest of a word that is tried first"
	case slices.ContainsFunc(append(unpadded(text), text, string(decoded)), func(form string) bool {
		return (form == text || printable([]byte(form))) && guessedText(form, known)
	}):
		return "it is made of words, names, dates or patterns that are tried first"
	}
	return ""
}

// unpadded are what the text is as base64 without its padding, which a key is not read as: a person may have meant it.
func unpadded(text string) (forms []string) {
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if form, err := encoding.DecodeString(text); err == nil {
			forms = append(forms, string(form))
		}
	}
	return forms
}

// digested says that the key is a digest of nothing, or of one of the words that everybody tries.
func digested(key []byte) bool {
	for _, word := range []string{"", "password", "secret", "test", "admin", "root", "hello", "key", "changeme", "dirtbike", "123456", "12345678", "0", "1"} {
		for _, line := range []string{word, word + "\n"} {
			md, sha, sha256, sha512 := md5.Sum([]byte(line)), sha1.Sum([]byte(line)), sha256.Sum256([]byte(line)), sha512.Sum512([]byte(line)) //nolint:gosec // to refuse them
			for _, digest := range [][]byte{md[:], sha[:], sha256[:], sha512[:]} {
				if bytes.Equal(key, digest) {
					return true
				}
			}
		}
	}
	return false
}

// fewBytes says that the key has few different bytes.
func fewBytes(key []byte) bool {
	seen := map[byte]bool{}
	for _, b := range key {
		seen[b] = true
	}
	return len(seen) < leastDistinct
}

// periodic says that the key is a shorter text, repeated; the last time may be cut off.
func periodic(key []byte) bool {
	for period := 1; period <= len(key)/2; period++ {
		same := true
		for i := period; i < len(key) && same; i++ {
			same = key[i] == key[i-period]
		}
		if same && period < minHashKey {
			return true
		}
	}
	return false
}

// stepping says that the key counts: few steps from byte to byte make up nearly all of it.
func stepping(key []byte) bool {
	steps := map[byte]int{}
	most := 0
	for i := 1; i < len(key); i++ {
		step := key[i] - key[i-1]
		steps[step]++
		most = max(most, steps[step])
	}
	return most > (len(key)-1)/2
}

func printable(key []byte) bool {
	for _, b := range key {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// guessedText estimates how many guesses the text takes, by its beginning and by its end: one that is good is enough.
func guessedText(text string, known []string) bool {
	if words.MatchString(text) {
		all := 1.0
		for _, word := range word.FindAllString(text, longestGuessed) {
			all *= guesses(word[:min(len(word), longestGuessed)], known)
		}
		return all < leastGuesses
	}
	if len(text) <= longestGuessed {
		return guesses(text, known) < leastGuesses
	}
	return guesses(text[:longestGuessed], known) < leastGuesses && guesses(text[len(text)-longestGuessed:], known) < leastGuesses
}

func guesses(text string, known []string) float64 {
	return zxcvbn.PasswordStrength(text, append(known, "dirtbike", "postgres", "clickhouse", "kafka", "hash", "key", "secret", "token")).Guesses
}
