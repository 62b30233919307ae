package draft

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/config"
)

// The references that replace secrets in the file.
const (
	passwordReference    = "${env:PGPASSWORD}"    //nolint:gosec // the name of a variable
	sslPasswordReference = "${env:PGSSLPASSWORD}" //nolint:gosec // as above
)

// address is --source, as it may be written, and as it connects.
type address struct {
	// written has a reference where a password was; connects has everything, and is never printed.
	written, connects string
	// hidden says that a password was taken out, or comes from PGPASSWORD; escaped that it was percent-encoded there;
	// given that it names one.
	hidden, escaped, given bool
}

// parseAddress reads --source: a URL or libpq's key=value form, with references as in a config.
func parseAddress(source string) (address, error) {
	var a address
	file := "source: {url: " + strconv.Quote(source) + "}\n" + `kafka: {brokers: ["kafka:9092"]}
registry: {url: "http://registry:8081"}
clickhouse: {url: "clickhouse://ch:9000"}`
	parsed, err := config.Parse(filepath.Join(".", "--source"), []byte(file))
	if problems := (config.Errors)(nil); errors.As(err, &problems) {
		return a, cdc.Failed("--source: %s", problems[0].What).Fix("%s", problems[0].Try)
	}
	if err != nil {
		return a, err
	}
	a.connects = parsed.Source.URL.Reveal()
	if strings.Contains(source, "://") {
		err = a.hideURL(source)
	} else {
		err = a.hidePairs(source)
	}
	if err == nil {
		a.fromEnvironment()
	}
	return a, err
}

// fromEnvironment refers to PGPASSWORD where the address names no password and one is there, so that a start without it
// says what is missing. One that a URL takes in another form only is left to libpq's rules.
func (a *address) fromEnvironment() {
	password := os.Getenv("PGPASSWORD")
	if password == "" || a.given {
		return
	}
	a.hidden = true
	isURL := strings.Contains(a.written, "://")
	at := userOnly.FindStringSubmatchIndex(a.written)
	switch {
	case isURL && url.QueryEscape(password) != password, strings.ContainsAny(password, `'\ `):
	case !isURL:
		a.written += " password='" + passwordReference + "'"
	case at != nil:
		a.written = a.written[:at[3]] + ":" + passwordReference + a.written[at[1]-1:]
	case strings.Contains(a.written, "?"):
		a.written += "&password=" + passwordReference
	default:
		a.written += "?password=" + passwordReference
	}
}

var errSource = cdc.Failed("--source is no Postgres address").Fix("--source postgres://user@host:5432/database")

// userPart finds user and password of a URL in the text itself, so that everything else stays as it was typed.
var userPart = regexp.MustCompile(`^([a-z]+://[^/@:?]*):(.*)@([^@]*)$`)

// userOnly finds the user of a URL that has no password.
var userOnly = regexp.MustCompile(`^([a-z]+://[^/@:?]+):?@`)

// hideURL takes the password out of a URL, from its user part and from its parameters.
func (a *address) hideURL(source string) error {
	head, query, hasQuery := strings.Cut(source, "?")
	if strings.Contains(query, "@") && !strings.Contains(head, "@") { // a password with an unescaped "?"
		return errSource
	}
	if m := userPart.FindStringSubmatch(head); m != nil && m[2] != "" {
		head = m[1] + ":" + a.hide("password", m[2]) + "@" + m[3]
		a.escaped = a.hidden && strings.Contains(m[2], "%")
	}
	a.written = head
	if !hasQuery {
		return nil
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return errSource
		}
		if hidden := a.hide(plain, value); hidden != value {
			a.escaped = a.escaped || plain == "password" && strings.Contains(value, "%")
			pairs[i] = plain + "=" + hidden
		}
	}
	a.written += "?" + strings.Join(pairs, "&")
	return nil
}

// hide gives the reference that takes the place of a parameter's value if it is a secret, else the value.
func (a *address) hide(key, value string) string {
	a.given = a.given || key == "password" && value != ""
	switch {
	case strings.HasPrefix(value, "${") && strings.HasSuffix(value, "}") && strings.Count(value, "${") == 1: // it is one already
	case key == "password":
		a.hidden = true
		return passwordReference
	case key == "sslpassword":
		return sslPasswordReference
	}
	return value
}

// pair is one "key = value" of libpq's form; a value may be in quotes, with backslashes before quotes and backslashes.
var pair = regexp.MustCompile(`^\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)*)`)

// hidePairs takes the password out of libpq's form.
func (a *address) hidePairs(source string) error {
	var kept []string
	for rest := source; strings.TrimSpace(rest) != ""; {
		m := pair.FindStringSubmatch(rest)
		if m == nil {
			return errSource
		}
		plain := strings.Trim(m[2], "'")
		if hidden := a.hide(m[1], plain); hidden != plain {
			m[2] = "'" + hidden + "'"
		}
		kept = append(kept, m[1]+"="+m[2])
		rest = rest[len(m[0]):]
	}
	a.written = strings.Join(kept, " ")
	return nil
}
