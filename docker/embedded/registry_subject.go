package embedded

import (
	"net/http"
	"net/url"
	"strings"
)

// anySubject takes the subject off a question for a schema by its id. In Confluent's registry it names the context in
// which the id is looked up, and clients that guess a subject get an answer; srfake takes it as a condition, and says
// that there is no such schema.
func anySubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && isSchemaByID(r.URL.Path) && r.URL.Query().Has("subject") {
			u := *r.URL
			u.RawQuery = without(u.Query(), "subject")
			r = r.Clone(r.Context())
			r.URL = &u
		}
		next.ServeHTTP(w, r)
	})
}

// isSchemaByID reports whether a path is /schemas/ids/{id}, not that of what belongs to the id.
func isSchemaByID(path string) bool {
	id, ok := strings.CutPrefix(path, "/schemas/ids/")
	return ok && id != "" && !strings.Contains(strings.TrimSuffix(id, "/schema"), "/")
}

func without(query url.Values, name string) string {
	query.Del(name)
	return query.Encode()
}
