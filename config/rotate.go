package config

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The values of the tag `rotates`: a process takes another value of such a key over while it runs.
const (
	rotatesAll   = "all"   // the whole value, and the section below it
	rotatesLogin = "login" // of an address: user, password and what concerns TLS, but not host, port or database
)

// Fixed lists the keys, in the order of the file's sections, in which next differs and that a running process cannot
// take over: all but credentials and what concerns TLS. Values are never part of it.
func (c *Config) Fixed(next *Config) []string {
	return differing(reflect.ValueOf(*c), reflect.ValueOf(*next), nil)
}

// differing lists the keys of two sections that differ, except those that rotate.
func differing(was, is reflect.Value, path keyPath) (keys []string) {
	for _, field := range fieldsOf(was.Type()) {
		was, is, path := was.FieldByIndex(field.Index), is.FieldByIndex(field.Index), path.child(field.Tag.Get("yaml"))
		if was.Kind() == reflect.Pointer && !was.IsNil() && !is.IsNil() {
			was, is = was.Elem(), is.Elem()
		}
		rotates := field.Tag.Get("rotates")
		switch {
		case rotates == rotatesAll, rotates == rotatesLogin && sameAddress(was.Interface().(Secret).Reveal(), is.Interface().(Secret).Reveal()):
		case was.Kind() == reflect.Struct && was.Type() != secretType:
			keys = append(keys, differing(was, is, path)...)
		case !reflect.DeepEqual(was.Interface(), is.Interface()):
			keys = append(keys, path.String())
		}
	}
	return keys
}

// sameAddress reports whether two addresses lead to the same place, with any login and any encryption.
func sameAddress(was, is string) bool {
	return was == is || slices.Equal(addressOf(was), addressOf(is))
}

// addressOf gives the parts of an address (a URL, or libpq's "key=value" form) that are no login, in a fixed order.
// Malformed parts count as part of the address, so that they must stay as they are.
func addressOf(text string) []string {
	scheme, rest, isURL := strings.Cut(text, "://")
	if isURL && schemes.MatchString(scheme) {
		return addressOfURL(scheme, rest)
	}
	var parts []string
	for _, m := range keyword.FindAllStringSubmatch(text, -1) {
		if !isLogin(m[1]) {
			parts = append(parts, m[1]+"="+m[2])
		}
	}
	slices.Sort(parts)
	return parts
}

// addressOfURL does it by hand: net/url does not know several hosts, and one without a host may name it in the query.
func addressOfURL(scheme, rest string) []string {
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	hosts = hosts[strings.LastIndexByte(hosts, '@')+1:]
	values, err := url.ParseQuery(query)
	if err != nil {
		return []string{scheme, rest, query, fragment}
	}
	var parts []string
	for name, values := range values {
		if !isLogin(name) {
			parts = append(parts, name+"="+strings.Join(values, "\x00"))
		}
	}
	slices.Sort(parts)
	return append(parts, strings.ToLower(scheme), hosts, strings.Trim(path, "/"), fragment)
}

// schemes are what URLs begin with; in libpq's form "://" can only stand in a value.
var schemes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

// keyword is one setting of libpq's form: a value may be quoted, and a backslash takes the next character as it is.
var keyword = regexp.MustCompile(`(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s\\])*)`)

// logins are parameters of addresses that belong to the login, in addition to those that begin with "ssl".
var logins = []string{"user", "username", "password", "passfile", "channel_binding", "require_auth", "secure", "skip_verify"}

func isLogin(parameter string) bool {
	return strings.HasPrefix(parameter, "ssl") || slices.Contains(logins, parameter)
}
