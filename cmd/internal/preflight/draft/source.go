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

// The references that take the place of secrets in the file.
const (
	passwordReference    = "${env:PGPASSWORD}"    //nolint:gosec // the name of a variable
	sslPasswordReference = "${env:PGSSLPASSWORD}" //nolint:gosec // as above
)

// address is --source, as it may be written, and as it connects.
type address struct {
	// written has a reference where a password was.
	written string
	// connects has everything; never printed.
	connects string
	// hidden says that a password was taken out; escaped that it was percent-encoded there.
	hidden, escaped bool
}

// parseAddress reads --source: a URL or libpq's key=value form, with references as in a config.
func parseAddress(source string) (address, error) {
	var a address
	file := "source: {url: " + strconv.Quote(source) + "}\nkafka: {brokers: [\"kafka:9092\"]}\nregistry: {url: \"http://registry:8081\"}\nclickhouse: {url: \"clickhouse://ch:9000\"}\n"
	parsed, err := config.Parse(filepath.Join(".", "--source"), []byte(file))
	var problems config.Errors
	if errors.As(err, &problems) {
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
	return a, err
}

var errSource = cdc.Failed("--source is no Postgres address").Fix("--source postgres://user@host:5432/database")

// userPart finds user and password of a URL in the text itself, so that everything else stays as it was typed.
var userPart = regexp.MustCompile(`^([a-z]+://[^/@:?]*):(.*)@([^@]*)$`)

// hideURL takes the password out of a URL, from its user part and from its parameters.
func (a *address) hideURL(source string) error {
	head, query, hasQuery := strings.Cut(source, "?")
	if strings.Contains(query, "@") && !strings.Contains(head, "@") { // a password with an unescaped "?"
		return errSource
	}
	if m := userPart.FindStringSubmatch(head); m != nil && m[2] != "" {
		a.hide(m[2])
		if !reference(m[2]) {
			head = m[1] + ":" + passwordReference + "@" + m[3]
		}
	}
	a.written = head
	if !hasQuery {
		return nil
	}
	var kept []string
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return errSource
		}
		switch {
		case reference(value):
		case plain == "password":
			a.hide(value)
			pair = "password=" + passwordReference
		case plain == "sslpassword":
			pair = "sslpassword=" + sslPasswordReference
		}
		kept = append(kept, pair)
	}
	a.written += "?" + strings.Join(kept, "&")
	return nil
}

func (a *address) hide(password string) {
	a.hidden = true
	a.escaped = a.escaped || strings.Contains(password, "%")
}

// reference reports whether the text is one already.
func reference(text string) bool {
	return strings.HasPrefix(text, "${") && strings.HasSuffix(text, "}") && strings.Count(text, "${") == 1
}

// pair is one "key = value" of libpq's form; a value may be in quotes, with backslashes before quotes and backslashes.
var pair = regexp.MustCompile(`\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)*)`)

// hidePairs takes the password out of libpq's form.
func (a *address) hidePairs(source string) error {
	rest := source
	var kept []string
	for strings.TrimSpace(rest) != "" {
		at := pair.FindStringSubmatchIndex(rest)
		if at == nil || at[0] != 0 {
			return errSource
		}
		key, value := rest[at[2]:at[3]], rest[at[4]:at[5]]
		switch {
		case reference(strings.Trim(value, "'")):
		case key == "password":
			a.hidden, value = true, "'"+passwordReference+"'"
		case key == "sslpassword":
			value = "'" + sslPasswordReference + "'"
		}
		kept = append(kept, key+"="+value)
		rest = rest[at[1]:]
	}
	a.written = strings.Join(kept, " ")
	return nil
}

// inEnvironment reports whether the file's reference can be resolved here and now.
func inEnvironment(name string) bool { return os.Getenv(name) != "" }
