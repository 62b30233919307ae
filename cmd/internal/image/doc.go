// Package image holds the tests of what is in docker/: the image, and compose.yaml with every config that it mounts. No
// Docker engine is needed: the image's build is run as the Dockerfile says it, in a folder with what the image is built
// from, and each config is given to the program that reads it.
package image
