package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"dirtbike/cdc"
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
		wanted, isNumber := numbers[into.Type()]
		if !isNumber {
			wanted = number{what: aText, try: "put it in quotes"}
		}
		if _, scalar := node.(ast.ScalarNode); !isNumber && !scalar {
			wanted.try = "one text, without [ ] and { }"
		}
		d.failAt(placeOf(node), path, "this is %s, but %s belongs here", kindOf(node), wanted.what).fix("%s", wanted.try)
		return
	}
	if problem := assign(text, into, tag); problem != nil {
		if isText {
			text = d.at.quote(path, text)
		}
		d.failAt(placeOf(node), path, "%s is %s", text, problem.What).fix("%s", problem.Try[0].Command)
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

// fits reports whether a node of this kind may be the type's value. The text of a reference may be that of any.
func fits(node ast.Node, into reflect.Type, referenced bool) bool {
	isInt := into.Kind() == reflect.Int
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return referenced || !isInt
	case *ast.IntegerNode:
		return isInt || into == byteSizeType
	default:
		return false
	}
}

// assign sets the value, or says what is wrong with it in words that follow "… is".
func assign(text string, into reflect.Value, tag reflect.StructTag) *cdc.Problem {
	if n, is := numbers[into.Type()]; is {
		return assignNumber(text, into, tag, n)
	}
	if into.Type() == secretType {
		into.Set(reflect.ValueOf(NewSecret(text)))
		return nil
	}
	return assignText(text, into, tag)
}

func assignNumber(text string, into reflect.Value, tag reflect.StructTag, of number) *cdc.Problem {
	n, ok := of.parse(text)
	if !ok { // without strconv's words, which would repeat the text
		return cdc.Failed("not %s", of.what).Fix("%s", of.try)
	}
	for _, name := range []string{"min", "max"} {
		limit, has := tag.Lookup(name)
		bound, ok := of.parse(limit)
		if has && !ok {
			panic(fmt.Sprintf("config: tag %s:%q of a %s", name, limit, into.Type()))
		}
		if has && (name == "min" && n < bound || name == "max" && n > bound) {
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

func assignText(text string, into reflect.Value, tag reflect.StructTag) *cdc.Problem {
	pattern := tag.Get("pattern")
	one, isChoice := into.Interface().(choice)
	switch {
	case text == "":
		return cdc.Failed("empty").Fix("a value, or remove it")
	case strings.ContainsRune(text, 0):
		return cdc.Failed("not a text: it holds a zero byte").Fix("a value without one")
	case isChoice && !slices.Contains(one.Values(), text):
		return cdc.Failed("not one of %s", strings.Join(one.Values(), ", ")).Fix("%s", cmp.Or(Nearest(text, one.Values()), "one of these"))
	case !regexp.MustCompile(pattern).MatchString(text):
		return cdc.Failed("not of the form %s", pattern).Fix("%s", sampleOf(tag))
	}
	into.SetString(text)
	return nil
}
