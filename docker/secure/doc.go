// Package secure is for tests: an authority of one's own, and fronts that add TLS and a login to the parts of the embedded stack that
// have neither. What stands behind a front is the real part; what the front says of a wrong login is what a full server says.
package secure
