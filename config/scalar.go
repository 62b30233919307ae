package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
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
		_, scalar := node.(ast.ScalarNode)
		what, try := wanted.what, wanted.like(tag)
		switch {
		case isNumber:
		case scalar:
			what, try = aText, "put it in quotes"
		default:
			what, try = aText, cmp.Or(sampleOf(tag), "one text, without [ ] and { }")
		}
		d.failAt(placeOf(node), path, "this is %s, but %s belongs here", kindOf(node), what).fix("%s", try)
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
		return cdc.Failed("not %s", of.what).Fix("%s", of.like(tag))
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
		return emptyText(tag)
	case strings.ContainsRune(text, 0):
		return cdc.Failed("not a text: it holds a zero byte").Fix("a value without one")
	case isChoice && !slices.Contains(one.Values(), text):
		return cdc.Failed("not one of %s", strings.Join(one.Values(), ", ")).
			Fix("%s", cmp.Or(Nearest(text, one.Values()), "one of "+strings.Join(one.Values(), ", ")))
	case !regexp.MustCompile(pattern).MatchString(text):
		return cdc.Failed("not of the form %s", pattern).Fix("%s", sampleOf(tag))
	}
	into.SetString(text)
	return nil
}

func emptyText(tag reflect.StructTag) *cdc.Problem {
	p := cdc.Failed("empty")
	if tag.Get("required") == "true" && sampleOf(tag) != "" {
		return p.Fix("%s", sampleOf(tag))
	}
	return p.Fix("a value, or remove it")
}

// ByteSize is a number of bytes. In YAML it is a plain number, or one with a unit: kB, MB, GB (powers of 1000) or
// KiB, MiB, GiB (powers of 1024).
type ByteSize int64

// Int returns the number of bytes.
func (b ByteSize) Int() int { return int(b) }

// String writes the size with a unit, rounded for people.
func (b ByteSize) String() string { return humanize.Bytes(uint64(max(b, 0))) }

// number is how a type of numbers is written and read; ok is false for any other text.
type number struct {
	what         string
	form, sample string // how it is written, with a place for a sample
	parse        func(text string) (n int64, ok bool)
}

// like says how a number of the setting is written, by one that is in its range.
func (n number) like(tag reflect.StructTag) string {
	return strings.ReplaceAll(n.form, "N", cmp.Or(sampleOf(tag), n.sample))
}

var numbers = map[reflect.Type]number{
	byteSizeType:           {"a size", `a number with a unit, like "N"`, "16MB", parseByteSize},
	durationType:           {"a duration", `a number with a unit, like "N"`, "60s", parseDuration},
	reflect.TypeFor[int](): {"a whole number", "digits without quotes, like N", "6", parseInt},
}

func parseByteSize(text string) (int64, bool) {
	n, err := humanize.ParseBytes(text)
	return int64(n), err == nil && n <= math.MaxInt64 && !strings.HasPrefix(strings.TrimSpace(text), "-") //nolint:gosec // the bound is asked
}

// parseDuration reads Go's form, and also days: 7d, 1d12h.
func parseDuration(text string) (int64, bool) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, false
	}
	whole := time.Duration(n) * 24 * time.Hour
	if found && rest == "" {
		return int64(whole), true
	}
	d, err := time.ParseDuration(rest)
	return int64(whole + d), err == nil && d >= 0 && whole <= math.MaxInt64-d
}

func parseInt(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}
