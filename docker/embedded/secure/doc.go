// Package secure is for tests: the embedded stack with TLS and a login on every connection. Postgres and Apache Kafka
// have both; in front of ClickHouse and the registry, which do not, are proxies ("fronts"). A front passes connections
// on to the real part, and answers a wrong login as a full server does.
package secure
