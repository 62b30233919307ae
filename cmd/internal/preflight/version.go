package preflight

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a broker must know: topics have ids since Metadata v10 (Apache Kafka 2.8), and load remembers its place by them;
// with InitProducerID v3 (2.5) a capture goes on under its id.
const (
	leastMetadata = 10
	leastProducer = 3
)

// knows is the newest version of each request that a broker knows, -1 for none, and the release that is most likely.
type knows struct {
	metadata, producer int16
	guess              string
}

// judgeVersion asks each broker.
func (r *run) judgeVersion(ctx context.Context, p *part, k *cluster) {
	versions, err := k.admin.ApiVersions(ctx)
	if err != nil {
		p.error("kafka-version", r.where(partKafka), fmt.Errorf("ask the brokers for their versions: %w", err))
		return
	}
	var good []knows
	old := false
	for _, broker := range versions.Sorted() {
		subject := fmt.Sprintf("broker %d", broker.NodeID)
		if broker.Err != nil {
			p.warn("kafka-version", subject, "", "it does not say what it knows: %v", broker.Err)
			continue
		}
		b := knows{metadata: -1, producer: -1, guess: broker.VersionGuess()}
		if v, is := broker.KeyMaxVersion(int16(kmsg.Metadata)); is {
			b.metadata = v
		}
		if v, is := broker.KeyMaxVersion(int16(kmsg.InitProducerID)); is {
			b.producer = v
		}
		if b.enough() {
			good = append(good, b)
			continue
		}
		old = true
		p.fail("kafka-version", subject, "", "%s. Upgrade the brokers", b.text())
	}
	if !old && len(good) > 0 {
		p.ok("kafka-version", "brokers", "%s", weakest(good).text())
	}
}

func (b knows) enough() bool { return b.metadata >= leastMetadata && b.producer >= leastProducer }

// weakest is the broker that knows least.
func weakest(all []knows) knows {
	return slices.MinFunc(all, func(a, b knows) int {
		return cmp.Or(cmp.Compare(a.metadata, b.metadata), cmp.Compare(a.producer, b.producer))
	})
}

// text says what was decisive, and the release only where that says the same: the guess goes by all requests, and one
// that a proxy or another make leaves out changes it beyond recognition.
func (b knows) text() string {
	if b.enough() {
		text := fmt.Sprintf("they know what dirtbike needs of Kafka 2.8: Metadata v%d, InitProducerID v%d", b.metadata, b.producer)
		if newer, known := atLeast28(b.guess); known && newer {
			text += " (they look like " + b.guess + ")"
		}
		return text
	}
	var lacks []string
	for _, request := range []struct {
		name        string
		has, wanted int16
		since       string
	}{{"Metadata", b.metadata, leastMetadata, "2.8"}, {"InitProducerID", b.producer, leastProducer, "2.5"}} {
		switch {
		case request.has < 0:
			lacks = append(lacks, fmt.Sprintf("no %s (v%d, of Kafka %s, is needed)", request.name, request.wanted, request.since))
		case request.has < request.wanted:
			lacks = append(lacks, fmt.Sprintf("%s only up to v%d (v%d, of Kafka %s, is needed)", request.name, request.has, request.wanted, request.since))
		}
	}
	text := "it knows " + strings.Join(lacks, " and ")
	if newer, known := atLeast28(b.guess); known && !newer {
		text += ", and looks like " + b.guess
	}
	return text + "; dirtbike needs 2.8 or newer"
}

// release is a version as guesses write it: v2.8, v0.10.2 or v0_10_2.
var release = regexp.MustCompile(`v(\d+)[._](\d+)`)

// atLeast28 compares the guess with 2.8; known is false if it names no release that could be compared: none at all, one
// of many, or what it is not even.
func atLeast28(guess string) (newer, known bool) {
	found := release.FindAllStringSubmatch(guess, -1)
	if len(found) == 0 {
		return false, false
	}
	var sides []bool
	for _, m := range found {
		major, _ := strconv.Atoi(m[1]) // digits
		minor, _ := strconv.Atoi(m[2]) // as above
		sides = append(sides, major > 2 || major == 2 && minor >= 8)
	}
	newer = sides[0]
	switch {
	case slices.Contains(sides, !newer): // between an older and a newer one
		return false, false
	case strings.HasPrefix(guess, "not even "):
		return false, !newer
	case strings.Contains(guess, "at least "):
		return newer, newer // at least an old one may be a new one
	}
	return newer, true
}
