// Package demo is `dirtbike demo`: the whole product on one machine, shown as it runs.
package demo
