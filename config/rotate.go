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
	rotatesLogin = "login" // of an address: user, password and what concerns TLS, but not where it leads
)

// Fixed lists the keys, in the order of the file's sections, in which next differs and that a running process cannot take over: all but
// credentials and what concerns TLS. Values are never part of it.
func (c *Config) Fixed(next *Config) []string {
	return fixed(reflect.ValueOf(*c), reflect.ValueOf(*next), nil)
}

func fixed(was, is reflect.Value, path keyPath) (keys []string) {
	for _, field := range fieldsOf(was.Type()) {
		keys = append(keys, fixedField(was.FieldByIndex(field.Index), is.FieldByIndex(field.Index), path.child(field.Tag.Get("yaml")), field.Tag.Get("rotates"))...)
	}
	return keys
}

func fixedField(was, is reflect.Value, path keyPath, rotates string) []string {
	if rotates == rotatesAll {
		return nil
	}
	if was.Kind() == reflect.Pointer && !was.IsNil() && !is.IsNil() {
		was, is = was.Elem(), is.Elem()
	}
	switch {
	case rotates == rotatesLogin:
		if !sameAddress(was.Interface().(Secret).Reveal(), is.Interface().(Secret).Reveal()) {
			return []string{path.String()}
		}
	case was.Kind() == reflect.Struct && was.Type() != secretType:
		return fixed(was, is, path)
	case !reflect.DeepEqual(was.Interface(), is.Interface()):
		return []string{path.String()}
	}
	return nil
}

// sameAddress reports whether two addresses lead to the same place, whoever logs in there and however it is encrypted.
func sameAddress(was, is string) bool {
	return was == is || slices.Equal(addressOf(was), addressOf(is))
}

// addressOf gives what of an address (a URL, or libpq's "key=value" form) is no login, in an order of its own.
func addressOf(text string) []string {
	var parts []string
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		for _, m := range keyword.FindAllStringSubmatch(text, -1) {
			if !isLogin(m[1]) {
				parts = append(parts, m[1]+"="+m[2])
			}
		}
		slices.Sort(parts)
		return parts
	}
	for name, values := range u.Query() {
		if !isLogin(name) {
			parts = append(parts, name+"="+strings.Join(values, "\x00"))
		}
	}
	slices.Sort(parts)
	return append(parts, u.Scheme, u.Host, strings.Trim(u.Path, "/"))
}

// keyword is one setting of libpq's form: a value with spaces is quoted, and a backslash takes the next character as it is.
var keyword = regexp.MustCompile(`(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s\\])*)`)

// logins are parameters of addresses that belong to the login, or to its encryption, beside those that begin with "ssl".
var logins = []string{"user", "username", "password", "passfile", "channel_binding", "require_auth", "secure", "skip_verify"}

func isLogin(parameter string) bool {
	return strings.HasPrefix(parameter, "ssl") || slices.Contains(logins, parameter)
}
