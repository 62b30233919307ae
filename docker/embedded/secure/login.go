package secure

import "sync"

// login is the only user that a front lets in.
type login struct {
	mu             sync.Mutex
	user, password string
	refused        int
}

// SetLogin replaces the user; open connections stay open.
func (l *login) SetLogin(user, password string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.user, l.password = user, password
}

// Refused is how often another login was tried.
func (l *login) Refused() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *login) admits(user, password string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if user == l.user && password == l.password {
		return true
	}
	l.refused++
	return false
}
