// Package hubtest is a small Hugging Face Hub for tests. It answers as the real one does, as far as downloads of models go:
// small files by itself, under git's hash of them; large files by a redirect to another server. And it breaks as it is told.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a Hub and the server of its large files.
type Server struct {
	URL  string // the endpoint
	Host string // without the scheme

	mu       sync.Mutex // held while a request is answered
	breaks   func(w http.ResponseWriter, r *http.Request) bool
	repos    map[string]*Repo
	requests []*http.Request
	large    *httptest.Server
}

// Repo is a repository with one commit.
type Repo struct {
	Commit string
	Files  map[string][]byte
	Token  string // that may read it; "": everybody
	Gated  bool   // nobody may who hasn't accepted its conditions
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{repos: map[string]*Repo{}}
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.hub) }))
	t.Cleanup(hub.Close)
	s.URL, s.Host = hub.URL, strings.TrimPrefix(hub.URL, "http://")
	s.large = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.largeFile) }))
	t.Cleanup(s.large.Close)
	return s
}

// Add adds a repository; a nil map of files is an empty one.
func (s *Server) Add(name string, files map[string][]byte) *Repo {
	r := &Repo{Files: maps.Clone(files)}
	if r.Files == nil {
		r.Files = map[string][]byte{}
	}
	sum := sha1.Sum([]byte(name))
	r.Commit = hex.EncodeToString(sum[:])
	s.Change(func() { s.repos[name] = r })
	return r
}

// AddFolder adds a repository with the files of a folder, those whose names begin with one of leave left out.
func (s *Server) AddFolder(t testing.TB, name, dir string, leave ...string) *Repo {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if slices.ContainsFunc(leave, func(prefix string) bool { return strings.HasPrefix(e.Name(), prefix) }) {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return s.Add(name, files)
}

// Break has f see every request from now on before it is answered; f returns true if it has answered itself. nil ends that.
func (s *Server) Break(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.Change(func() { s.breaks = f })
}

// Meanwhile calls f, which waits, from within the function of Break, and lets other requests be answered.
func (s *Server) Meanwhile(f func()) {
	s.mu.Unlock()
	defer s.mu.Lock()
	f()
}

// Change changes something between two requests.
func (s *Server) Change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Requests returns the requests so far, as "METHOD PATH"; those to the server of large files begin with its own path, /large/.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, r := range s.requests {
		list = append(list, r.Method+" "+r.URL.Path)
	}
	return list
}

// Forget forgets the requests so far.
func (s *Server) Forget() {
	s.Change(func() { s.requests = nil })
}

// GitHash is git's name of a file's content.
func GitHash(data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(sum[:])
}

// SHA256 is the name of a large file's content.
func SHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// IsLarge says whether a file lies on the server of large files.
func IsLarge(name string) bool {
	return slices.Contains([]string{".safetensors", ".bin", ".pt", ".gguf", ".model"}, path.Ext(name))
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if s.breaks == nil || !s.breaks(w, r) {
		answer(w, r)
	}
}

// Refuse answers with a code of the Hub's.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Error-Code", code)
	w.WriteHeader(status)
}

func (s *Server) hub(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	api := len(parts) >= 6 && parts[0] == "api" && parts[1] == "models"
	if api {
		parts = parts[2:]
	}
	if len(parts) < 4 {
		Refuse(w, http.StatusNotFound, "")
		return
	}
	name, verb, revision := parts[0]+"/"+parts[1], parts[2], parts[3]
	repo := s.repos[name]
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case repo == nil || repo.Token != "" && bearer != repo.Token:
		status := http.StatusUnauthorized
		if bearer != "" {
			status = http.StatusNotFound
		}
		Refuse(w, status, "RepoNotFound")
	case revision != "main" && revision != repo.Commit:
		Refuse(w, http.StatusNotFound, "RevisionNotFound")
	case api && verb == "revision":
		s.describe(w, name, repo)
	case api && verb == "tree":
		s.tree(w, repo)
	case repo.Gated:
		status := http.StatusUnauthorized
		if bearer != "" {
			status = http.StatusForbidden
		}
		Refuse(w, status, "GatedRepo")
	case verb == "resolve":
		s.file(w, r, repo, strings.Join(parts[4:], "/"))
	default:
		Refuse(w, http.StatusNotFound, "")
	}
}

func (s *Server) describe(w http.ResponseWriter, name string, repo *Repo) {
	siblings := []map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(repo.Files)) {
		siblings = append(siblings, map[string]string{"rfilename": file})
	}
	json.NewEncoder(w).Encode(map[string]any{"id": name, "sha": repo.Commit, "siblings": siblings, "tags": []string{"clip"}, "private": false})
}

func (s *Server) tree(w http.ResponseWriter, repo *Repo) {
	entries := []map[string]any{}
	for _, file := range slices.Sorted(maps.Keys(repo.Files)) {
		data := repo.Files[file]
		e := map[string]any{"type": "file", "path": file, "size": len(data), "oid": GitHash(data)}
		if IsLarge(file) {
			e["lfs"] = map[string]any{"oid": SHA256(data), "size": len(data), "pointerSize": 134}
		}
		entries = append(entries, e)
	}
	json.NewEncoder(w).Encode(entries)
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, repo *Repo, file string) {
	w.Header().Set("X-Repo-Commit", repo.Commit)
	data, ok := repo.Files[file]
	switch {
	case !ok:
		Refuse(w, http.StatusNotFound, "EntryNotFound")
	case IsLarge(file):
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		w.Header().Set("X-Linked-Etag", `"`+SHA256(data)+`"`)
		w.Header().Set("Location", s.large.URL+"/large/"+SHA256(data))
		w.WriteHeader(http.StatusFound)
	default:
		w.Header().Set("ETag", `"`+GitHash(data)+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

func (s *Server) largeFile(w http.ResponseWriter, r *http.Request) {
	for _, repo := range s.repos {
		for _, data := range repo.Files {
			if path.Base(r.URL.Path) == SHA256(data) {
				w.Header().Set("ETag", `"cdn"`)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
				return
			}
		}
	}
	w.WriteHeader(http.StatusNotFound)
}
