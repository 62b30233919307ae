// Package embedded runs the whole stack without Docker: Postgres, ClickHouse, Kafka and a schema registry on loopback
// ports, from one directory.
//
// Postgres and ClickHouse come from pinned npm packages kept in a shared cache (or from PATH), Kafka is kfake or Apache
// Kafka, the registry is srfake with a journal. The stack writes into Options.Dir and the cache only.
//
// Postgres, ClickHouse and Kafka are child processes. A child dies with its parent, even when the parent is SIGKILLed:
// the thread that started it stays locked until it ends, and the kernel sends it SIGKILL when that thread ends.
// Some children are this very binary run again, so main and TestMain must call [RunChild] before anything else.
package embedded
