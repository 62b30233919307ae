// Package embeddedtest is what tests on real engines share: the embedded stack for one test or for all tests of a
// package, databases and connections that end with the test, and the one answer to a missing tool. Only tests import
// it.
package embeddedtest
