// Package registry reads and writes Avro schemas over the Confluent schema registry API.
package registry
