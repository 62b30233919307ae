package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"

	"github.com/goccy/go-yaml/ast"
)

// scalar decodes one text or number, and checks the range and the form that the field's tag asks for.
func (d *decoder) scalar(node ast.Node, into reflect.Value, path keyPath, tag reflect.StructTag) {
	text, referenced, ok := d.text(node, path)
	if !ok {
		return
	}
	d.at.referenced[path.id()] = referenced
	isText := kindOf(node) == aText
	if !fits(node, into.Type(), referenced) {
		wanted, try := describe(into.Type())
		if _, scalar := node.(ast.ScalarNode); wanted == aText && !scalar {
			try = "one text, without [ ] and { }"
		}
		d.failf(placeOf(node), path, "this is %s, but %s belongs here", kindOf(node), wanted).fix("%s", try)
		return
	}
	if problem := assign(text, into, tag); problem != nil {
		if isText {
			text = d.at.quote(path, text)
		}
		d.failf(placeOf(node), path, "%s is %s", text, problem.What).fix("%s", problem.Try[0].Command)
	}
}

// text returns a scalar's text with its references resolved, and whether it had any.
func (d *decoder) text(node ast.Node, path keyPath) (text string, referenced, ok bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return d.expand(node.Value, placeOf(node), path)
	case *ast.LiteralNode:
		return d.expand(node.Value.Value, placeOf(node), path)
	case *ast.IntegerNode:
		return fmt.Sprint(node.Value), false, true
	case *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, false, true
	default:
		return "", false, true // a list or a mapping: fits refuses it
	}
}

// fits reports whether a node of this kind may stand for the type. The text of a reference may stand for any.
func fits(node ast.Node, into reflect.Type, referenced bool) bool {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return referenced || wantsText(into)
	case *ast.IntegerNode:
		return into.Kind() == reflect.Int || into == byteSizeType
	default:
		return false
	}
}

func wantsText(t reflect.Type) bool {
	return t == secretType || t == durationType || t == byteSizeType || t.Kind() == reflect.String
}

// describe says what a scalar type is, and how to write one.
func describe(t reflect.Type) (what, try string) {
	switch {
	case t == durationType:
		return "a duration", tryDuration
	case t == byteSizeType:
		return "a size", tryByteSize
	case t.Kind() == reflect.Int:
		return "a whole number", tryInt
	default:
		return aText, "put it in quotes"
	}
}

// assign sets the value, or says what is wrong with it in words that follow "… is".
func assign(text string, into reflect.Value, tag reflect.StructTag) *cdc.Problem {
	switch {
	case into.Type() == secretType:
		into.Set(reflect.ValueOf(NewSecret(text)))
		return nil
	case into.Type() == durationType:
		return assignNumber(text, into, tag, func(s string) (int64, error) {
			d, err := parseDuration(s)
			return int64(d), err
		})
	case into.Type() == byteSizeType:
		return assignNumber(text, into, tag, func(s string) (int64, error) {
			b, err := parseByteSize(s)
			return int64(b), err
		})
	}
	switch into.Kind() {
	case reflect.Int:
		return assignNumber(text, into, tag, parseInt)
	case reflect.String:
		return assignText(text, into, tag)
	default:
		panic(fmt.Sprintf("config: no decoder for %s", into.Type()))
	}
}

func assignNumber(text string, into reflect.Value, tag reflect.StructTag, parse func(string) (int64, error)) *cdc.Problem {
	n, err := parse(text)
	if err != nil {
		return cdc.Explain(err)
	}
	for _, name := range []string{"min", "max"} {
		limit, ok := tag.Lookup(name)
		if !ok {
			continue
		}
		bound, err := parse(limit)
		if err != nil {
			panic(fmt.Sprintf("config: tag %s:%q of a %s: %v", name, limit, into.Type(), err))
		}
		if name == "min" && n < bound || name == "max" && n > bound {
			return cdc.Failed("out of range: %s", rangeOf(tag)).Fix("%s", limit)
		}
	}
	into.SetInt(n)
	return nil
}

func rangeOf(tag reflect.StructTag) string {
	low, high := tag.Get("min"), tag.Get("max")
	switch {
	case high == "":
		return "at least " + low
	case low == "":
		return "at most " + high
	default:
		return low + " to " + high
	}
}

func parseInt(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, errInt // strconv's would repeat the text
	}
	return n, nil
}

func assignText(text string, into reflect.Value, tag reflect.StructTag) *cdc.Problem {
	if text == "" {
		return cdc.Failed("empty").Fix("a value, or remove it")
	}
	if strings.ContainsRune(text, 0) {
		return cdc.Failed("not a text: it holds a zero byte").Fix("a value without one")
	}
	if one, ok := into.Interface().(choice); ok && !slices.Contains(one.Values(), text) {
		return cdc.Failed("not one of %s", strings.Join(one.Values(), ", ")).Fix("%s", cmp.Or(Nearest(text, one.Values()), "one of these"))
	}
	if pattern, ok := tag.Lookup("pattern"); ok && !regexp.MustCompile(pattern).MatchString(text) {
		return cdc.Failed("not of the form %s", pattern).Fix("%s", sampleOf(tag))
	}
	into.SetString(text)
	return nil
}
