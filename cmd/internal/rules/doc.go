// Package rules holds the project's own rules as tests: which package may import which, what the tree may contain, and
// that the README and the generated parts of the documentation are true. Each rule is a function over plain input, so
// that a second test shows that it can fail.
package rules
