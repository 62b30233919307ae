package endpoints

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net/http"
	"strings"

	"dirtbike/cdc"

	"go.uber.org/zap"
)

// Guard is who may ask a Server. The zero value lets everybody in, without encryption.
type Guard struct {
	// Token is what "Authorization: Bearer …" has to hold; empty asks for none.
	Token string
	// TLS answers over https only; nil is http. With ClientCAs a client has to show a certificate of theirs.
	TLS *tls.Config
	// Log gets, at level debug, what becomes of handshakes that fail; nil is silent. Only that of the first guard
	// counts.
	Log *zap.Logger
}

// Protect replaces the guard; requests under way are not asked again. Before Run it also decides whether the server
// uses TLS, which stays so: later a guard of the other kind is an error, and nothing is changed.
func (s *Server) Protect(g Guard) error {
	if was := s.guard.Load(); s.running.Load() && (was.TLS == nil) != (g.TLS == nil) {
		return cdc.Failed("ops.tls cannot be added or removed while the endpoints are served").Fix("restart dirtbike")
	}
	if !s.running.Load() {
		log := g.Log
		if log == nil {
			log = zap.NewNop()
		}
		var err error
		if s.http.ErrorLog, err = zap.NewStdLogAt(log, zap.DebugLevel); err != nil {
			return err
		}
	}
	s.guard.Store(&g)
	return nil
}

// settings are those of the guard at the time of a handshake.
func (s *Server) settings(*tls.ClientHelloInfo) (*tls.Config, error) { return s.guard.Load().TLS, nil }

// guarded lets only those through who show what the guard asks for.
func (s *Server) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g := s.guard.Load()
		switch {
		case !g.certified(r):
			text(w, http.StatusUnauthorized, "a client certificate of ops.tls.ca is needed. Try: curl --cert FILE --key FILE; /livez needs none\n")
		case !g.knows(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			text(w, http.StatusUnauthorized, "the token of ops.token is needed. Try: curl -H \"Authorization: Bearer $OPS_TOKEN\"; /livez needs none\n")
		default:
			next(w, r)
		}
	}
}

// certified reports whether the client has shown a certificate where it has to; the handshake has verified it.
func (g *Guard) certified(r *http.Request) bool {
	return g.TLS == nil || g.TLS.ClientCAs == nil || r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

// knows reports whether the request brings the token. The time that takes says nothing of the token, not even its
// length.
func (g *Guard) knows(r *http.Request) bool {
	if g.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(g.Token)), sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}
