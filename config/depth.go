package config

import (
	"slices"

	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep a file may be nested. Settings take five levels; the parser takes time and stack for each.
const maxDepth = 100

// tooDeep gives the token at which a file is nested deeper than maxDepth; nil if there is none.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, line := 0, 0
	var columns []int // where the sections around the token begin that no brackets are around
	opened := false   // the token before goes on with what this one begins
	for _, t := range tokens {
		if t.Position == nil || t.Type == token.CommentType {
			continue
		}
		if brackets == 0 && (opened || t.Position.Line != line) {
			columns = slices.DeleteFunc(columns, func(column int) bool { return column >= t.Position.Column })
			columns = append(columns, t.Position.Column)
		}
		switch t.Type { //nolint:exhaustive // others do not nest
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(brackets-1, 0)
		}
		if len(columns)+brackets > maxDepth {
			return t
		}
		line, opened = t.Position.Line, slices.Contains(openers, t.Type)
	}
	return nil
}

// openers may precede a value in the same line.
var openers = []token.Type{token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType}
