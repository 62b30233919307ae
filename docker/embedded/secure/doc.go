// Package secure is for tests: the embedded stack with ways in that are encrypted and ask for a login. Postgres and Apache Kafka do that
// themselves; in front of ClickHouse and the registry, which cannot, are proxies ("fronts"). Each passes connections on to the real part, and answers a
// wrong login as a full server does.
package secure
