package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// validator collects problems that a value's type cannot show: forms with parts, and keys that depend on each other.
type validator struct{ collector }

func (c *Config) validate() Errors {
	v := &validator{collector{at: c.at}}
	v.source(c.Source)
	v.kafka(c.Kafka)
	v.registry(c.Registry)
	v.clickhouse(c.ClickHouse)
	v.privacy(c.Privacy)
	v.rollups(c.Rollups)
	v.ops(c.Ops)
	return v.errs
}

func (v *validator) source(s Source) {
	path := keyPath{"source"}
	text := s.URL.Reveal()
	switch {
	case strings.Contains(text, "://"):
		v.url(path.child("url"), s.URL, "postgres", "postgresql")
	case !strings.Contains(text, "="):
		v.failf(path.child("url"), `this is no Postgres address`).fix(`postgres://user@host:5432/database`)
	}
	v.globs(path.child("tables"), s.Tables)
	for table, columns := range s.Keys {
		at := path.child("keys").child(table)
		v.table(at, table, sortedKeys(s.Keys))
		v.distinct(at, columns, "[id]")
	}
}

func (v *validator) globs(path keyPath, globs []string) {
	included := false
	for i, entry := range globs {
		glob, exclude := strings.CutPrefix(entry, "!")
		included = included || !exclude
		if _, ok := splitTable(glob); !ok {
			v.failf(path.entry(i), `%s is no glob of schema.table`, v.at.quote(path.entry(i), entry)).fix(`"public.*"`)
		}
	}
	if !included {
		v.failf(path, `nothing is included`).fix(`"public.*" before the exclusions`)
	}
}

// table refuses what is no name of one table; given are the names beside it.
func (v *validator) table(path keyPath, name string, given []string) {
	if strings.ContainsAny(name, "*?") {
		v.failf(path, "globs are not supported here").fix("one table, like \"public.patients\"")
		return
	}
	if _, ok := splitTable(name); !ok {
		right, try := "public."+strings.Trim(name, "."), removeIt
		if _, ok := splitTable(right); ok && !slices.Contains(given, right) {
			try = strconv.Quote(right)
		}
		v.failf(path, "this is not of the form schema.table").fix("%s", try)
	}
}

// distinct refuses an empty list, for which it gives an example, and an entry that is there twice.
func (v *validator) distinct(path keyPath, entries []string, example string) {
	if len(entries) == 0 {
		v.failf(path, "the list is empty").fix("%s, or remove the key", example)
	}
	seen := map[string]bool{}
	for i, entry := range entries {
		if seen[entry] {
			v.failf(path.entry(i), "%s is there twice", v.at.quote(path.entry(i), entry)).fix("keep one")
		}
		seen[entry] = true
	}
}

func (v *validator) kafka(k Kafka) {
	path := keyPath{"kafka"}
	if len(k.Brokers) == 0 {
		v.failf(path.child("brokers"), `the list is empty`).fix(`["kafka:9092"]`)
	}
	for i, broker := range k.Brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || !isPort(port, 1) {
			v.failf(path.child("brokers").entry(i), `this is not of the form host:port`).fix(`"kafka:9092"`)
		}
	}
	if k.MaxTransaction < k.MaxMessageBytes {
		v.failf(path.child("max_transaction"), "%s is less than max_message_bytes (%s): no transaction could hold the largest record",
			k.MaxTransaction, k.MaxMessageBytes).fix("%d", k.MaxMessageBytes)
	}
	v.tls(path.child("tls"), k.TLS)
}

func (v *validator) registry(r Registry) {
	path := keyPath{"registry"}
	v.url(path.child("url"), r.URL, "http", "https")
	if r.User == "" && !r.Password.IsZero() {
		v.failf(path.child("password"), "there is a password, but no user").fix("set registry.user too, or remove the password")
	}
	v.tls(path.child("tls"), r.TLS)
}

func (v *validator) clickhouse(c ClickHouse) {
	path := keyPath{"clickhouse"}
	if u := v.url(path.child("url"), c.URL, "clickhouse"); u != nil {
		if database := strings.Trim(u.Path, "/"); database != "" && database != c.Database {
			v.failf(path.child("url"), "the address names another database than clickhouse.database (%s)", c.Database).fix("leave it out of the address")
		}
	}
	if c.Load.Memory < c.Load.BatchBytes {
		v.failf(path.child("load").child("memory"), "%s is less than batch_bytes (%s): no batch could fill", c.Load.Memory, c.Load.BatchBytes).fix("%d", c.Load.BatchBytes)
	}
	v.tls(path.child("tls"), c.TLS)
}

// anAddress is an example of an address.
func anAddress(scheme string) string {
	return map[string]string{
		"postgres": "postgres://user@host:5432/database", "http": "http://registry:8081", "clickhouse": "clickhouse://user:password@host:9000",
	}[scheme]
}

// url parses an address that may hold a password, so that no error repeats any of it. It returns nil after an error.
func (v *validator) url(path keyPath, address Secret, schemes ...string) *url.URL {
	u, err := url.Parse(address.Reveal())
	if err != nil {
		v.failf(path, "this is no valid address").fix("%s", tryAddress(address.Reveal(), schemes[0]))
		return nil
	}
	if slices.Contains(schemes, u.Scheme) && (u.Host != "" || schemes[0] == "postgres" && u.Query().Get("host") != "") { // libpq takes both
		return u
	}
	v.failf(path, "this address has the wrong form").fix("%s", anAddress(schemes[0]))
	return nil
}

// tryAddress is the way out of an address that cannot be parsed: a login whose characters end it too soon, or an
// address of another form.
func tryAddress(address, scheme string) string {
	_, rest, _ := strings.Cut(address, "://")
	login, _, has := cutLast(rest, "@")
	if has && strings.ContainsFunc(login, func(r rune) bool { return strings.ContainsRune("/?#[]% <>\"\\^`{|}", r) || r < ' ' }) {
		return "percent-encode special characters of the password (@ is %40, / is %2F, # is %23, ? is %3F, % is %25)"
	}
	return anAddress(scheme)
}

// cutLast is strings.Cut around the last of the separators.
func cutLast(s, separator string) (before, after string, found bool) {
	at := strings.LastIndex(s, separator)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(separator):], true
}

func (v *validator) tls(path keyPath, t *TLS) {
	if t != nil && (t.Cert == "") != t.Key.IsZero() {
		v.failf(path, "cert and key belong together").fix("give both, or neither")
	}
}

// bearer is what the header of a bearer token can hold (RFC 6750), long enough not to be guessed.
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{16,}=*$`)

func (v *validator) ops(o Ops) {
	path := keyPath{"ops"}
	host, port, err := net.SplitHostPort(o.Listen)
	switch {
	case err != nil || !isPort(port, 0):
		v.failf(path.child("listen"), `this is not of the form host:port`).fix(`"127.0.0.1:8085"`)
	case !IsLoopback(host) && o.Token.IsZero() && (o.TLS == nil || o.TLS.CA == ""):
		v.failf(path.child("listen"), "other hosts reach %s, and anybody there could read what is captured and how it goes",
			v.at.quote(path.child("listen"), o.Listen)).
			fix(`ops.token: "${file:ops.token}" (openssl rand -hex 32 >ops.token), ops.tls with the ca of client certificates, or both; or 127.0.0.1:%s`, port)
	}
	v.token(path.child("token"), o.Token)
}

func (v *validator) token(path keyPath, token Secret) {
	switch {
	case token.IsZero():
	case !bearer.MatchString(token.Reveal()):
		v.failf(path, "this is no bearer token of at least 16 letters, digits or any of -._~+/=").fix("openssl rand -hex 32")
	default:
		if why := guessable(token.Reveal(), []byte(token.Reveal())); why != "" {
			v.failf(path, "the token can be guessed: %s", why).fix("openssl rand -hex 32")
		}
	}
}

// IsLoopback reports whether only this machine reaches the host; a name other than localhost may be anything.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func isPort(text string, least int) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && int(port) >= least
}

var hashKeyID = regexp.MustCompile(`^k[A-Za-z0-9]{1,15}$`)

func (v *validator) privacy(p *Privacy) {
	if p == nil {
		return
	}
	for table := range p.Columns {
		v.table(keyPath{"privacy", "columns", table}, table, sortedKeys(p.Columns))
	}
	v.hashKeys(keyPath{"privacy", "hash"}, p.Hash)
	v.domains(keyPath{"privacy", "hash", "domains"}, p.Hash.Domains)
}

func (v *validator) hashKeys(path keyPath, h Hash) {
	ids := make([]string, 0, len(h.Keys))
	for id, key := range h.Keys {
		ids = append(ids, id)
		if !hashKeyID.MatchString(id) {
			v.failf(path.child("keys").child(id), "the id of a key is k and up to 15 letters or digits").fix("%s", freeKeyID(h.Keys))
		}
		decoded, err := decodeHashKey(key.Reveal())
		if err != nil {
			v.failf(path.child("keys").child(id), "%s", errHashKey.What).fix("%s", errHashKey.Try[0].Command)
		} else if why := guessable(key.Reveal(), decoded, id); why != "" {
			v.failf(path.child("keys").child(id), "the key can be guessed: %s; who has it can try values against the hashes", why).
				fix("%s", errHashKey.Try[0].Command)
		}
	}
	if _, known := h.Keys[h.Active]; h.Active != "" && !known {
		v.failf(path.child("active"), "%s is no key of privacy.hash.keys", v.at.quote(path.child("active"), h.Active)).
			fix("%s", tryNearest(h.Active, ids, "add it there"))
	}
	if h.Active == "" && len(ids) > 1 {
		v.failf(path, "there are %d keys", len(ids)).fix("say which one is in use, like active: %s", slices.Min(ids))
	}
}

// freeKeyID is an id that no key has yet.
func freeKeyID(keys map[string]Secret) string {
	for n := 1; ; n++ {
		if id := "k" + strconv.Itoa(n); keys[id].IsZero() {
			return id
		}
	}
}

func (v *validator) domains(path keyPath, domains map[string][]string) {
	owner := map[string]string{}
	for _, domain := range sortedKeys(domains) {
		v.distinct(path.child(domain), domains[domain], `["public.patients.mrn"]`)
		for i, column := range domains[domain] {
			at := path.child(domain).entry(i)
			if _, _, ok := splitColumn(column); !ok {
				v.failf(at, `this is not of the form schema.table.column`).fix(`"public.patients.mrn"`)
			}
			if other, taken := owner[column]; taken && other != domain {
				v.failf(at, "%s is in the domain %s already, and a column has one domain", v.at.quote(at, column), other).fix("keep one")
			}
			owner[column] = domain
		}
	}
}

// rollups checks the form first, so that a file written for a later release can be fixed now.
func (v *validator) rollups(rollups []Rollup) {
	path := keyPath{"rollups"}
	for i, r := range rollups {
		declared, files := r.Name != "" || r.SQL != "", r.Files != ""
		if declared == files || declared && (r.Name == "" || r.SQL == "") {
			v.failf(path.entry(i), "a rollup is either name and sql, or files").fix("{name: daily, sql: SELECT …}")
		}
	}
	if len(rollups) > 0 {
		v.failf(path, "rollups are not supported by this release").fix("remove the section; nothing would be computed")
	}
}
