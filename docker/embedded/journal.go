package embedded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
)

// journal makes srfake durable. srfake assigns versions and schema ids in the order of the requests that change it, so
// replaying exactly those requests, one at a time, rebuilds exactly the same content.
//
// A change is answered only after it is in the file: what was confirmed to a client survives SIGKILL. A torn last line
// is a request that was not answered, and is cut off.
type journal struct {
	next http.Handler

	mu   sync.Mutex // one change at a time, in the order of the file
	file *os.File
	seen map[string]bool // registrations already in the file since the last deletion
}

// entry is one line of the file.
type entry struct {
	Method string `json:"method"`
	URI    string `json:"uri"`
	Body   []byte `json:"body"`
	Status int    `json:"status"`
	Answer []byte `json:"answer"`
}

// openJournal replays the file into h and returns a handler that records.
func openJournal(path string, h http.Handler) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the registry's journal: %w", err)
	}
	j := &journal{next: h, file: f, seen: map[string]bool{}}
	if err := j.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("replay the registry's journal %s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *journal) replay() error {
	r := bufio.NewReader(j.file)
	var end int64 // end of the last whole line
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := j.apply(line); err != nil {
			return fmt.Errorf("at byte %d: %w", end, err)
		}
		end += int64(len(line))
	}
	if err := j.file.Truncate(end); err != nil {
		return err
	}
	_, err := j.file.Seek(end, io.SeekStart)
	return err
}

var errAnswer = errors.New("is answered differently now")

// apply repeats one request and fails if the answer is not the one given then.
func (j *journal) apply(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	req, err := http.NewRequest(e.Method, e.URI, bytes.NewReader(e.Body)) //nolint:noctx // answered in memory
	if err != nil {
		return err
	}
	rec := httptest.NewRecorder()
	j.next.ServeHTTP(rec, req)
	if rec.Code != e.Status || !bytes.Equal(rec.Body.Bytes(), e.Answer) {
		return fmt.Errorf("%s %s %w", e.Method, e.URI, errAnswer)
	}
	j.remember(e)
	return nil
}

// ServeHTTP passes reads through and records what changes the registry.
func (j *journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !changes(r) {
		j.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, "read request: "+err.Error(), http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	uri := r.URL.RequestURI() // before srfake rewrites the path
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	j.next.ServeHTTP(rec, r)
	e := entry{Method: r.Method, URI: uri, Body: body, Status: rec.Code, Answer: rec.Body.Bytes()}
	if err := j.record(e); err != nil {
		http.Error(w, "store request: "+err.Error(), http.StatusInternalServerError)
		return
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // the client is gone; it will ask again
}

// changes reports whether a request can change the registry: looking up and checking a schema are POSTs as well.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return strings.HasSuffix(r.URL.Path, "/versions") && !strings.Contains(r.URL.Path, "compatibility/subjects/")
	default:
		return false
	}
}

// record appends a change that was accepted. A registration that is in the file already changes nothing.
func (j *journal) record(e entry) error {
	if e.Status >= 300 || j.seen[e.key()] {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.remember(e)
	return nil
}

func (e entry) key() string { return e.Method + " " + e.URI + "\n" + string(e.Body) }

func (j *journal) remember(e entry) {
	if e.Method == http.MethodPost {
		j.seen[e.key()] = true
		return
	}
	clear(j.seen) // after a deletion the same registration does change the registry
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}
