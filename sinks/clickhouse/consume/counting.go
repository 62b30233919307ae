package consume

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client makes records of a batch without compression before anybody is asked, and makes room for as many records
// as any batch claims. So what a broker answers to a fetch goes through a countedConn, which gives such batches a codec
// that Kafka does not have: for those the client asks its decompressor, the unpacker, as for any other.
const (
	codecPlain   kgo.CompressionCodecType = 7 // it is not compressed
	codecTooMany kgo.CompressionCodecType = 6 // it claims more records than any batch of capture's has
)

// dialer gives a function that connects as a client with those options does.
func dialer(opts []kgo.Opt) (func(ctx context.Context, network, host string) (net.Conn, error), error) {
	client, err := kgo.NewClient(opts...) // for its function: it never connects
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error)), nil
}

// counting are options by which a client with those options counts what it is sent.
func counting(opts []kgo.Opt, mostRecords int) ([]kgo.Opt, error) {
	dial, err := dialer(opts)
	if err != nil {
		return nil, err
	}
	return []kgo.Opt{kgo.DialTLSConfig(nil), kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, mostRecords: mostRecords, fetches: map[int32]int16{}}, nil
	})}, nil
}

// countedConn is a connection to a broker. Reads and writes may be at the same time.
type countedConn struct {
	net.Conn
	mostRecords int
	mu          sync.Mutex
	fetches     map[int32]int16 // the versions of fetches that are not answered, by their correlation id
	in          []byte          // the beginning of an answer that is arriving
	ready       []byte          // of an answer, to be read
	pass        int             // bytes of the present answer that are passed on as they are
}

const (
	answerHead = 4 + 4 // an answer's size, without itself, and its correlation id
	// mostAnswer is the most that is taken in: the client refuses what is larger.
	mostAnswer = 100 << 20
)

// Write implements net.Conn. The client writes one request at a time.
func (c *countedConn) Write(p []byte) (int, error) {
	const fetch, head = 1, 4 + 2 + 2 + 4 // size, key, version, correlation id
	if len(p) >= head && binary.BigEndian.Uint16(p[4:]) == fetch {
		c.mu.Lock()
		c.fetches[int32(binary.BigEndian.Uint32(p[8:]))] = int16(binary.BigEndian.Uint16(p[6:])) //nolint:gosec // as Kafka writes them
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (n int, err error) {
	if len(c.ready) == 0 && c.pass == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.ready) > 0 {
		n = copy(p, c.ready)
		if c.ready = c.ready[n:]; len(c.ready) == 0 {
			c.ready = nil // it may be large
		}
		return n, nil
	}
	n, err = c.Conn.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

// next takes in the head of an answer, and all of one to a fetch. A step that fails may be repeated.
func (c *countedConn) next() error {
	if err := c.fill(answerHead); err != nil {
		return err
	}
	size, id := int(int32(binary.BigEndian.Uint32(c.in))), int32(binary.BigEndian.Uint32(c.in[4:])) //nolint:gosec // as Kafka writes them
	c.mu.Lock()
	version, is := c.fetches[id]
	c.mu.Unlock()
	if !is || size < 4 || size > mostAnswer {
		c.ready, c.in, c.pass = c.in, nil, max(size-4, 0)
		return nil
	}
	if err := c.fill(4 + size); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.fetches, id)
	c.mu.Unlock()
	markAnswer(c.in[answerHead:], version, c.mostRecords)
	c.ready, c.in = c.in, nil
	return nil
}

// fill reads until in has so many bytes.
func (c *countedConn) fill(size int) error {
	if cap(c.in) < size {
		c.in = append(make([]byte, 0, size), c.in...)
	}
	for len(c.in) < size {
		n, err := c.Conn.Read(c.in[len(c.in):size])
		if c.in = c.in[:len(c.in)+n]; err != nil && len(c.in) < size {
			return err
		}
		if n == 0 && err == nil {
			return io.ErrNoProgress
		}
	}
	return nil
}

// markAnswer marks the batches of an answer to a fetch, in its own bytes. What cannot be read is left to the client.
func markAnswer(body []byte, version int16, mostRecords int) {
	answer := kmsg.NewPtrFetchResponse()
	answer.SetVersion(version)
	if answer.IsFlexible() {
		header := kbin.Reader{Src: body}
		kmsg.SkipTags(&header)
		body = header.Src
	}
	if answer.ReadFrom(body) != nil {
		return
	}
	for _, topic := range answer.Topics {
		for i := range topic.Partitions {
			markBatches(topic.Partitions[i].RecordBatches, mostRecords)
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// markBatches gives batches without compression, or with too many records, their codec. Of those whose checksum is
// wrong the client says so.
func markBatches(b []byte, mostRecords int) {
	const fields, magicAt, crcAt, attributesAt, recordsAt, control, codecs = 61, 16, 17, 21, 57, 1 << 5, 7
	for len(b) >= fields {
		size := int(int32(binary.BigEndian.Uint32(b[8:]))) + 12 //nolint:gosec // as Kafka writes it
		if size < fields || size > len(b) {
			return
		}
		batch, attributes := b[:size], b[attributesAt+1]
		b = b[size:]
		codec := kgo.CompressionCodecType(attributes & codecs)
		switch {
		case batch[magicAt] != 2 || attributes&control != 0:
			continue
		case int(binary.BigEndian.Uint32(batch[recordsAt:])) > mostRecords:
			codec = codecTooMany
		case codec == kgo.CodecNone:
			codec = codecPlain
		default:
			continue
		}
		if crc32.Checksum(batch[attributesAt:], castagnoli) != binary.BigEndian.Uint32(batch[crcAt:]) {
			continue
		}
		batch[attributesAt+1] = attributes&^codecs | byte(codec)
		binary.BigEndian.PutUint32(batch[crcAt:], crc32.Checksum(batch[attributesAt:], castagnoli))
	}
}
