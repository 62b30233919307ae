// Package secure is for tests: the embedded stack with ways in that are encrypted and ask for a login. Postgres and Apache Kafka do that
// themselves; before ClickHouse and the registry, which cannot, stand fronts. What is behind a front is the real part, and what a front
// says of a wrong login is what a full server says.
package secure
