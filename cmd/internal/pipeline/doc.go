// Package pipeline builds the legs of a pipeline from its config: wiring only.
package pipeline
