// Package bench measures what the project promises about speed, against references on the same machine: reference and
// product take turns inside one run, because only figures of the same minutes can be divided by one another.
package bench
