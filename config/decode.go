package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decoder walks the YAML tree and the Go type side by side. It goes on after a problem, so that one run shows them all.
// (The library's own strict decoding stops at the first, and its errors quote the source lines, secrets included.)
type decoder struct {
	collector
	dir string
}

// document decodes the only document of data.
func (d *decoder) document(data []byte, into *Config) {
	tokens := lexer.Tokenize(string(data))
	if t := tooDeep(tokens); t != nil {
		d.failAt(place{t.Position.Line, t.Position.Column}, nil, "nested deeper than %d levels", maxDepth).fix("dirtbike explain config shows every key")
		return
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are found here, with their path
	if err != nil {
		d.syntax(err)
		return
	}
	root := reflect.ValueOf(into).Elem()
	bodies := slices.DeleteFunc(file.Docs, func(doc *ast.DocumentNode) bool { return doc.Body == nil })
	switch len(bodies) {
	case 0:
		d.failAt(place{1, 1}, nil, "the file is empty").fix("dirtbike explain config shows every key")
	case 1:
		d.value(bodies[0].Body, root, nil, "")
	default:
		d.failAt(placeOf(bodies[1].Body), nil, "a second YAML document").fix("put everything into one, without ---")
	}
}

// syntax reports what the parser says, but not the source lines that it would quote.
func (d *decoder) syntax(err error) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		d.failAt(place{}, nil, "not valid YAML").fix("dirtbike explain config shows every key")
		return
	}
	at := syntax.GetToken().Position
	// What the parser repeats of the content follows one of these.
	message, _, _ := strings.Cut(syntax.GetMessage(), `"`)
	message, _, _ = strings.Cut(message, " character '")
	d.failAt(place{at.Line, at.Column}, nil, `not valid YAML: %s`, strings.TrimSpace(message)).fix("%s", trySyntax(syntax.GetMessage()))
}

// trySyntax is the way out of what the parser says.
func trySyntax(message string) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(message, word) })
	}
	switch {
	case has("escape"):
		return `put a value that holds a \ in single quotes: ' '`
	case has("end character"):
		return "end the value with the quote that it begins with"
	case has("end token", "must be specified"):
		return "end each { with } and each [ with ], with a comma between entries"
	case has("not allowed in this context", "unexpected key", "tab character", "'\t'"):
		return "indent the keys of a section alike, by spaces, and end each [ and {"
	default:
		return `quote keys and values that hold any of : # * ! & { [`
	}
}

// value decodes one node. The tag is that of the struct field it ends up in; entries of lists and maps inherit some of
// it.
func (d *decoder) value(node ast.Node, into reflect.Value, path keyPath, tag reflect.StructTag) {
	if !d.plain(node, into.Type(), path, tag) {
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch into.Kind() {
	case reflect.Struct:
		if into.Type() == secretType {
			d.scalar(node, into, path, tag)
			return
		}
		d.section(node, into, path)
	case reflect.Map:
		d.mapping(node, into, path, tag)
	case reflect.Slice:
		d.list(node, into, path, tag)
	default:
		d.scalar(node, into, path, tag)
	}
}

// plain refuses what YAML has and settings do not need: null, anchors, aliases, tags, merge keys.
func (d *decoder) plain(node ast.Node, of reflect.Type, path keyPath, tag reflect.StructTag) bool {
	switch node.(type) {
	case *ast.NullNode:
		d.failf(path, "there is no value").fix("%s", tryValue(of, path, tag))
	case *ast.AliasNode:
		d.failAt(placeOf(node), path, "YAML anchors, aliases and merge keys are not supported").fix(`quotes, if the value begins with "*"; or write it out`)
	case *ast.AnchorNode: // its name is not repeated: it may be the beginning of a password
		d.failAt(placeOf(node), path, "YAML anchors, aliases and merge keys are not supported").fix(`quotes, if the value begins with "&"; or remove the anchor`)
	case *ast.TagNode:
		d.failAt(placeOf(node), path, `YAML tags are not supported`).fix(`quotes, if the value begins with "!"; or remove the tag`)
	default:
		return true
	}
	return false
}

// tryValue is the way out of a key without a value. What the key stands for without one may be less than was meant (no
// encryption, no policies), so a section is proposed first.
func tryValue(of reflect.Type, path keyPath, tag reflect.StructTag) string {
	isSection := of.Kind() == reflect.Pointer
	if isSection {
		of = of.Elem()
	}
	switch example := exampleOf(of, tag); {
	case path.isEntry():
		return `a value, in quotes if it begins with "!"; or remove the entry` // the parser takes a tag alone for null
	case tag.Get("required") == "true":
		return example
	case isSection:
		return example + ", or remove the key"
	default:
		return "give it one, or remove the key for the default"
	}
}

// section decodes a mapping into a struct: unknown keys are errors, missing ones take their default.
func (d *decoder) section(node ast.Node, into reflect.Value, path keyPath) {
	entries, ok := node.(ast.MapNode)
	if !ok {
		d.failAt(placeOf(node), path, "this is %s, but a section belongs here", kindOf(node)).fix("%s; its keys are %s", sectionLike(into.Type()), knownKeys(into.Type()))
		return
	}
	given, names := map[string]bool{}, keysIn(entries)
	for it := entries.MapRange(); it.Next(); {
		key, ok := d.key(it.Key(), path)
		if !ok || d.twice(given[key], it.Key(), path.child(key)) {
			continue
		}
		field, ok := fieldNamed(into.Type(), key)
		if !ok {
			d.unknown(it.Key(), into.Type(), path, key, names)
			continue
		}
		given[key] = true
		d.value(it.Value(), into.FieldByIndex(field.Index), path.child(key), field.Tag)
	}
	d.absent(into, path, given)
}

// absent gives the keys that the file leaves out their default, and refuses those that have none.
func (d *decoder) absent(into reflect.Value, path keyPath, given map[string]bool) {
	for _, field := range fieldsOf(into.Type()) {
		name := field.Tag.Get("yaml")
		if given[name] {
			continue
		}
		target := into.FieldByIndex(field.Index)
		preset, hasDefault := field.Tag.Lookup("default")
		switch {
		case field.Tag.Get("required") == "true":
			d.failAt(d.at.find(path), path.child(name), "this key is missing and has no default").fix("%s: %s", name, exampleOf(field.Type, field.Tag))
		case hasDefault:
			d.preset(preset, target, path.child(name), field.Tag)
		case target.Kind() == reflect.Struct && field.Type != secretType:
			d.absent(target, path.child(name), nil)
		}
	}
}

// preset decodes a default tag like any value of a file. A default that does not decode is a mistake of this package.
func (d *decoder) preset(text string, into reflect.Value, path keyPath, tag reflect.StructTag) {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		panic(fmt.Sprintf("config: default of %s: %v", path, err))
	}
	inner := &decoder{collector{at: newPositions("default")}, d.dir}
	inner.value(file.Docs[0].Body, into, path, tag)
	if len(inner.errs) > 0 {
		panic("config: " + inner.errs.Error())
	}
}

// mapping decodes a mapping whose keys are free.
func (d *decoder) mapping(node ast.Node, into reflect.Value, path keyPath, tag reflect.StructTag) {
	entries, ok := node.(ast.MapNode)
	if !ok {
		d.failAt(placeOf(node), path, "this is %s, but a mapping belongs here", kindOf(node)).fix("%s", shapeOf(into.Type(), tag))
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for it := entries.MapRange(); it.Next(); {
		key, ok := d.key(it.Key(), path)
		if !ok || d.twice(into.MapIndex(reflect.ValueOf(key)).IsValid(), it.Key(), path.child(key)) {
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		d.value(it.Value(), element, path.child(key), entryTag(element.Type(), tag))
		into.SetMapIndex(reflect.ValueOf(key), element)
	}
}

func (d *decoder) list(node ast.Node, into reflect.Value, path keyPath, tag reflect.StructTag) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		try := "put [ ] around it"
		if _, is := node.(ast.MapNode); is {
			try = cmp.Or(sampleOf(tag), "[ ] with one text for each entry")
		}
		d.failAt(placeOf(node), path, `this is %s, but a list belongs here`, kindOf(node)).fix("%s", try)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values)))
	for i, entry := range sequence.Values {
		d.at.of[path.entry(i).id()] = placeOf(entry)
		d.value(entry, into.Index(i), path.entry(i), entryTag(into.Type().Elem(), tag))
	}
}

// key reads a mapping's key, which is always a plain text.
func (d *decoder) key(node ast.MapKeyNode, path keyPath) (string, bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, true
	default:
		d.failAt(placeOf(node), path, `a key must be a plain text`).fix(`quotes, if it begins with "*", "&" or "!"; or write out what it stands for`)
		return "", false
	}
}

// twice refuses a key that was there before, and else remembers where it is.
func (d *decoder) twice(before bool, node ast.Node, path keyPath) bool {
	if before {
		d.failAt(placeOf(node), path, "this key is there twice").fix("keep one")
		return true
	}
	d.at.of[path.id()] = placeOf(node)
	return false
}

// keysIn are the keys of a mapping that are plain texts.
func keysIn(entries ast.MapNode) (keys []string) {
	for it := entries.MapRange(); it.Next(); {
		if text, is := it.Key().(*ast.StringNode); is {
			keys = append(keys, text.Value)
		}
	}
	return keys
}

// unknown names the nearest right key: of this section, else the same key of another. One that the section has already
// is not proposed, since it would be there twice.
func (d *decoder) unknown(node ast.Node, section reflect.Type, path keyPath, key string, given []string) {
	nearest := Nearest(key, keysOf(section))
	free := slices.DeleteFunc(keysOf(section), func(name string) bool { return slices.Contains(given, name) })
	try := removeIt
	switch elsewhere := findKey(configType, nil, key); {
	case nearest != "" && slices.Contains(given, nearest):
		try = "remove it; " + nearest + " is given already"
	case nearest != "":
		try = nearest
	case elsewhere != nil:
		try = elsewhere.String()
	case len(free) > 0:
		try = "one of " + strings.Join(free, ", ") + "; or remove it"
	}
	d.failAt(placeOf(node), path.child(key), "unknown key").fix("%s", try)
}

func placeOf(node ast.Node) place {
	var tok *token.Token
	if values, ok := node.(*ast.MappingNode); ok && !values.IsFlowStyle && len(values.Values) > 0 {
		node = values.Values[0].Key // a block mapping's own token is its first colon
	}
	if tok = node.GetToken(); tok == nil || tok.Position == nil {
		return place{1, 1}
	}
	return place{tok.Position.Line, tok.Position.Column}
}

const aText = "a text"

// kindOf says what a node is without saying what is in it.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	default:
		return aText
	}
}

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
