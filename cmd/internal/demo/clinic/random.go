package clinic

import (
	"math"
	"math/rand/v2"
)

// Tags keep the random streams of the kinds of rows apart.
const (
	tagPools uint64 = iota + 1
	tagClinic
	tagProvider
	tagPatient
	tagVisit
	tagVisitRow
	tagClaim
	tagClaimRow
	tagWorkload
)

// stream is a random generator that can be put at the beginning of any row's own sequence, so that a row's facts depend
// on nothing but the seed, its kind and its number. Not safe for concurrent use.
type stream struct {
	*rand.Rand
	src *rand.PCG
}

// newStream returns a stream at the beginning of row 0 of kind tag.
func newStream(seed, tag uint64) *stream {
	src := rand.NewPCG(0, 0)
	s := &stream{Rand: rand.New(src), src: src} //nolint:gosec // reproducible test data, not a secret
	s.seek(seed, tag, 0)
	return s
}

// seek puts the stream at the beginning of row i of kind tag.
func (s *stream) seek(seed, tag uint64, i int64) {
	s.src.Seed(mix(seed^mix(tag)), mix(uint64(i))) //nolint:gosec // row numbers are not negative
}

// mix is the finaliser of splitmix64: neighbouring numbers give unrelated seeds.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// chance is true with probability p.
func (s *stream) chance(p float64) bool { return s.Float64() < p }

// between draws an integer of [low, high].
func (s *stream) between(low, high int) int { return low + s.IntN(high-low+1) }

// lognormal draws an amount whose median is median and whose logarithm has the standard deviation sigma, cut to [low,
// high].
func (s *stream) lognormal(median, sigma float64, low, high cents) cents {
	amount := cents(median * math.Exp(sigma*s.NormFloat64()))
	return min(max(amount, low), high)
}

// weighted draws indexes with given weights in constant time (Vose's alias method). It is read-only after newWeighted.
type weighted struct {
	keep  []float64
	alias []int
}

// newWeighted prepares a sampler; weights must be positive and there must be one at least.
func newWeighted(weights []float64) weighted {
	n, sum := len(weights), 0.0
	for _, w := range weights {
		sum += w
	}
	d := weighted{keep: make([]float64, n), alias: make([]int, n)}
	var small, large []int
	for i, w := range weights {
		d.keep[i] = w * float64(n) / sum
		if d.keep[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		d.alias[s] = l
		d.keep[l] -= 1 - d.keep[s]
		if d.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		d.keep[i] = 1
	}
	return d
}

// draw returns an index with its weight's probability.
func (d weighted) draw(s *stream) int {
	i := s.IntN(len(d.keep))
	if s.Float64() < d.keep[i] {
		return i
	}
	return d.alias[i]
}

// zipf returns n weights that fall as 1/rank^exponent.
func zipf(n int, exponent float64) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = math.Pow(float64(i+1), -exponent)
	}
	return w
}
