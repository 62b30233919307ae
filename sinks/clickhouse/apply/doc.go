// Package apply is what load knows of its topics, partitions and generations, and what it decides from that. It asks
// nobody: what it decides on is given to it.
package apply
