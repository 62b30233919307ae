// Package demo is `dirtbike demo`: the whole product on one machine, before the user's eyes.
package demo
