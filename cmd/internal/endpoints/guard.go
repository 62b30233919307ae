package endpoints

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// Guard is who may ask a Server. The zero value lets everyone in, without encryption.
type Guard struct {
	// Token is what "Authorization: Bearer …" has to hold; empty asks for none.
	Token string
	// TLS answers over https only; nil is http. With ClientCAs a client has to show a certificate of theirs.
	TLS *tls.Config
	// Log of the first guard gets failed handshakes, at level debug; nil is silent.
	Log *zap.Logger
}

// Protect replaces the guard; requests under way are not asked again. Before Run it also decides whether the server
// uses TLS, which stays so: later a guard of the other kind is an error, and nothing is changed.
func (s *Server) Protect(g Guard) error {
	if was := s.guard.Load(); s.running.Load() && (was.TLS == nil) != (g.TLS == nil) {
		return cdc.Failed("ops.tls cannot be added or removed while the endpoints are served").Fix("restart dirtbike")
	}
	if !s.running.Load() {
		var err error
		if s.http.ErrorLog, err = zap.NewStdLogAt(cmp.Or(g.Log, zap.NewNop()), zap.DebugLevel); err != nil {
			return err
		}
	}
	s.guard.Store(&g)
	return nil
}

// guarded passes on only requests with the token or certificate that the guard requires.
func (s *Server) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g := s.guard.Load()
		switch {
		case g.TLS != nil && g.TLS.ClientCAs != nil && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0): // the handshake verifies what is shown
			text(w, http.StatusUnauthorized, "a client certificate of ops.tls.ca is needed. Try: curl --cert FILE --key FILE; /livez needs none\n")
		case !g.knows(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			text(w, http.StatusUnauthorized, "the token of ops.token is needed. Try: curl -H \"Authorization: Bearer $OPS_TOKEN\"; /livez needs none\n")
		default:
			next(w, r)
		}
	}
}

// knows reports whether the request has the token, in a time that does not depend on it, not even on its length.
func (g *Guard) knows(r *http.Request) bool {
	if g.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(g.Token)), sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}
