package registry

import "sync"

// mostCached is how many bytes of schemas one cache remembers. Schemas are what the registry answers, or what captured
// tables have: nothing else bounds how many there are.
const mostCached = 32 << 20

// cache remembers answers until they are too many: then it forgets all, and what is needed is asked for again. The zero
// value is ready. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]V
	bytes int // of those that are known
}

func (c *cache[K, V]) load(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok = c.known[key]
	return value, ok
}

// store remembers a value that takes so many bytes, its key included.
func (c *cache[K, V]) store(key K, value V, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, has := c.known[key]; has {
		return // an answer never changes
	}
	if c.known == nil || c.bytes+bytes > mostCached {
		c.known, c.bytes = map[K]V{}, 0
	}
	c.known[key] = value
	c.bytes += bytes
}
