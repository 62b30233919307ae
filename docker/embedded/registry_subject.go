package embedded

import (
	"net/http"
	"regexp"
)

// schemaByID is the path of a question for a schema by its id, and not for what belongs to the id.
var schemaByID = regexp.MustCompile(`^/schemas/ids/[^/]+(/schema)?$`)

// anySubject takes the subject off a question for a schema by its id. In Confluent's registry it names the context in
// which the id is looked up, and clients that guess a subject get an answer; srfake takes it as a condition, and says
// that there is no such schema.
func anySubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); r.Method == http.MethodGet && schemaByID.MatchString(r.URL.Path) && query.Has("subject") {
			query.Del("subject")
			r = r.Clone(r.Context())
			r.URL.RawQuery = query.Encode()
		}
		next.ServeHTTP(w, r)
	})
}
