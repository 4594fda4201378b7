package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/hub/hubtest"
)

const repo = "org/name"

// weights is a file that takes several reads.
var weights = func() []byte {
	b := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

var (
	config  = []byte(`{"model_type": "clip"}`)
	content = map[string][]byte{"config.json": config, "model.safetensors": weights, "onnx/model.json": []byte("{}")}
)

// client is one for a server, with a cache of its own, that doesn't wait long. What it notices goes into the list, but that it
// downloads.
func client(t *testing.T, s *hubtest.Server) (c *Client, notices *[]string) {
	notices = new([]string)
	notice := func(text string) {
		if !strings.Contains(text, ": downloading ") {
			*notices = append(*notices, text)
		}
	}
	return &Client{Endpoint: s.URL, Cache: filepath.Join(t.TempDir(), "hub"), Notice: notice, pause: time.Millisecond}, notices
}

// pull asks for a snapshot and fetches files of it.
func pull(c *Client, files ...string) (*Snapshot, error) {
	s, err := c.Snapshot(context.Background(), repo, "main")
	if err != nil {
		return nil, err
	}
	return s, c.Fetch(context.Background(), s, files)
}

// tree lists all files below a folder, if it is there; of links, where they lead.
func tree(t *testing.T, dir string) (list []string) {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if target, linkErr := os.Readlink(path); linkErr == nil {
			rel += " -> " + target
		}
		list = append(list, filepath.ToSlash(rel))
		return err
	}))
	return list
}

func same(t *testing.T, want []byte, path ...string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s differs", filepath.Join(path...))
}

// TestLayout wants the cache to look as huggingface_hub's does.
func TestLayout(t *testing.T) {
	server := hubtest.New(t)
	r := server.Add(repo, content)
	c, notices := client(t, server)
	s, err := pull(c, "config.json", "model.safetensors", "onnx/model.json")
	require.NoError(t, err)
	require.Equal(t, []string{"config.json", "model.safetensors", "onnx/model.json"}, s.Files)
	dir, commit := "models--org--name/", r.Commit
	require.ElementsMatch(t, []string{
		"CACHEDIR.TAG",
		".locks/" + dir + hubtest.GitHash(config) + ".lock",
		".locks/" + dir + hubtest.GitHash([]byte("{}")) + ".lock",
		".locks/" + dir + hubtest.SHA256(weights) + ".lock",
		dir + "blobs/" + hubtest.GitHash(config),
		dir + "blobs/" + hubtest.GitHash([]byte("{}")),
		dir + "blobs/" + hubtest.SHA256(weights),
		dir + "refs/main",
		dir + "snapshots/" + commit + "/config.json -> ../../blobs/" + hubtest.GitHash(config),
		dir + "snapshots/" + commit + "/model.safetensors -> ../../blobs/" + hubtest.SHA256(weights),
		dir + "snapshots/" + commit + "/onnx/model.json -> ../../../blobs/" + hubtest.GitHash([]byte("{}")),
	}, tree(t, c.Cache))
	same(t, []byte(commit), c.Cache, dir, "refs/main")
	same(t, weights, s.Dir, "model.safetensors")
	require.Empty(t, *notices)

	t.Run("what is there isn't asked for again", func(t *testing.T) {
		server.Forget()
		_, err := pull(c, "config.json", "model.safetensors")
		require.NoError(t, err)
		require.Equal(t, []string{"GET /api/models/org/name/revision/main"}, server.Requests())
	})
	t.Run("nor is content that another commit has", func(t *testing.T) {
		server.Forget()
		server.Change(func() { r.Commit = strings.Repeat("ab", 20) })
		s, err := pull(c, "config.json", "model.safetensors")
		require.NoError(t, err)
		same(t, weights, s.Dir, "model.safetensors")
		require.NotContains(t, strings.Join(server.Requests(), "\n"), "/large/")
		same(t, []byte(r.Commit), c.Cache, dir, "refs/main")
	})
	t.Run("offline", func(t *testing.T) {
		server.Forget()
		c.Offline = true
		s, err := pull(c, "config.json")
		require.NoError(t, err)
		require.True(t, s.Local)
		require.Equal(t, []string{"config.json", "model.safetensors"}, s.Files)
		_, err = pull(c, "onnx/model.json")
		require.ErrorContains(t, err, "org/name: onnx/model.json isn't in "+s.Dir)
		_, err = c.Snapshot(t.Context(), repo, "v1")
		require.ErrorContains(t, err, "org/name@v1 isn't in "+c.Cache+", and $HF_HUB_OFFLINE says not to download it")
		s, err = c.Snapshot(t.Context(), repo, commit)
		require.NoError(t, err)
		require.Len(t, s.Files, 3)
		require.Empty(t, server.Requests())
	})
}

// TestNoLinks wants plain files where there can be no links.
func TestNoLinks(t *testing.T) {
	server := hubtest.New(t)
	r := server.Add(repo, content)
	c, _ := client(t, server)
	c.NoLinks = true
	s, err := pull(c, "model.safetensors")
	require.NoError(t, err)
	info, err := os.Lstat(filepath.Join(s.Dir, "model.safetensors"))
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular())
	same(t, weights, s.Dir, "model.safetensors")

	// A blob that lies there may be another snapshot's: it is copied.
	blob := c.blobPath(repo, hubtest.SHA256(weights))
	require.NoFileExists(t, blob)
	require.NoError(t, os.WriteFile(blob, weights, 0o600))
	server.Change(func() { r.Commit = strings.Repeat("cd", 20) })
	s, err = pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.FileExists(t, blob)
}

// TestSharedStore reads a blob that is itself a link out of the repository's folder, as huggingface_hub 2 makes them.
func TestSharedStore(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, _ := client(t, server)
	store, blob := filepath.Join(c.Cache, "blobs", "ab", "abcd"), c.blobPath(repo, hubtest.SHA256(weights))
	require.NoError(t, os.MkdirAll(filepath.Dir(store), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
	require.NoError(t, os.WriteFile(store, weights, 0o600))
	require.NoError(t, os.Symlink("../../blobs/ab/abcd", blob))
	s, err := pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.NotContains(t, strings.Join(server.Requests(), "\n"), "/large/")

	// A store that somebody emptied doesn't break the link for good.
	require.NoError(t, os.Remove(store))
	s, err = pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.NoFileExists(t, store)
}

// cutOff sends the beginning of a large file and hangs up, some times.
func cutOff(times int, after int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/large/") || times == 0 {
			return false
		}
		times--
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", fmt.Sprint(len(weights)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(weights)-1, len(weights)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(weights[from : from+after])
		panic(http.ErrAbortHandler)
	}
}

func TestCutOffGoesOn(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	server.Break(cutOff(10, 200_000)) // more often than any fails without getting further
	c, notices := client(t, server)
	var last, total int64
	c.Progress = func(d, n int64) { last, total = d, n }
	s, err := pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.Len(t, *notices, 10)
	require.Regexp(t, `^org/name: model\.safetensors: cut off after \d+ of 3145728 bytes: unexpected EOF; trying again in `, (*notices)[0])
	require.EqualValues(t, len(weights), total)
	require.EqualValues(t, len(weights), last)
	require.Empty(t, leftovers(t, c))
}

// leftovers lists unfinished files.
func leftovers(t *testing.T, c *Client) (list []string) {
	for _, path := range tree(t, c.Cache) {
		if strings.HasSuffix(path, incomplete) || strings.HasSuffix(path, ".tmp") {
			list = append(list, filepath.Base(path))
		}
	}
	return list
}

// TestInterrupted wants a download that the user stopped to go on in the next call, from what is there.
func TestInterrupted(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, _ := client(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	server.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/large/") {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		w.Write(weights[:1<<20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	c.Progress = func(done, _ int64) {
		if done >= 1<<20 {
			cancel()
		}
	}
	s, err := c.Snapshot(t.Context(), repo, "main")
	require.NoError(t, err)
	require.ErrorIs(t, c.Fetch(ctx, s, []string{"model.safetensors"}), context.Canceled)
	require.Equal(t, []string{hubtest.SHA256(weights) + ".clipgo.incomplete"}, leftovers(t, c))
	require.NoFileExists(t, filepath.Join(c.repoDir(repo), "refs", "main"), "nothing is promised that isn't there")

	var ranges []string
	server.Break(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/large/") {
			ranges = append(ranges, r.Header.Get("Range"))
		}
		return false
	})
	first := int64(-1)
	c.Progress = func(done, _ int64) {
		if first < 0 {
			first = done
		}
	}
	s, err = pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.Equal(t, []string{"bytes=1048576-"}, ranges)
	require.EqualValues(t, 1<<20, first, "what is there counts as done")
	require.Empty(t, leftovers(t, c))
}

// TestUnfinishedFiles starts with what may lie there already.
func TestUnfinishedFiles(t *testing.T) {
	for name, test := range map[string]struct {
		suffix string
		data   []byte
		want   string // the Range of the first request
	}{
		"ours":                           {ourIncomplete, weights[:1000], "bytes=1000-"},
		"an older huggingface_hub's":     {incomplete, weights[:1000], "bytes=1000-"},
		"another process's":              {".0123abcd.incomplete", weights[:1000], ""},
		"whole":                          {ourIncomplete, weights, "none"},
		"too long":                       {ourIncomplete, append(slices.Clone(weights), 1), ""},
		"of something else":              {ourIncomplete, bytes.Repeat([]byte{1}, 1000), "bytes=1000-"},
		"of something else, of its size": {ourIncomplete, bytes.Repeat([]byte{1}, len(weights)), ""},
		"empty":                          {ourIncomplete, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			server.Add(repo, content)
			c, _ := client(t, server)
			blob := c.blobPath(repo, hubtest.SHA256(weights))
			require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
			require.NoError(t, os.WriteFile(blob+test.suffix, test.data, 0o600))
			got := "none"
			server.Break(func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/large/") && got == "none" {
					got = r.Header.Get("Range")
				}
				return false
			})
			s, err := pull(c, "model.safetensors")
			require.NoError(t, err)
			same(t, weights, s.Dir, "model.safetensors")
			require.Equal(t, test.want, got)
		})
	}
}

// TestServersThatCannotResume wants the whole file from its beginning.
func TestServersThatCannotResume(t *testing.T) {
	for name, broken := range map[string]func(w http.ResponseWriter){
		"ignores the range": func(w http.ResponseWriter) { w.Write(weights) },
		"refuses it":        func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
		"sends another part": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 500-%d/%d", len(weights)-1, len(weights)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(weights[500:])
		},
		"says nonsense": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes ?")
			w.WriteHeader(http.StatusPartialContent)
		},
		"has another size": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 1000-1999/2000")
			w.WriteHeader(http.StatusPartialContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			server.Add(repo, content)
			c, _ := client(t, server)
			blob := c.blobPath(repo, hubtest.SHA256(weights))
			require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
			require.NoError(t, os.WriteFile(blob+ourIncomplete, weights[:1000], 0o600))
			server.Break(func(w http.ResponseWriter, r *http.Request) bool {
				resumes := strings.HasPrefix(r.URL.Path, "/large/") && r.Header.Get("Range") != ""
				if resumes {
					broken(w)
				}
				return resumes
			})
			s, err := pull(c, "model.safetensors")
			require.NoError(t, err)
			same(t, weights, s.Dir, "model.safetensors")
		})
	}
}

// TestPassingFaults wants what goes away by itself to be waited for.
func TestPassingFaults(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter){
		"500":       func(w http.ResponseWriter) { w.WriteHeader(500) },
		"503":       func(w http.ResponseWriter) { w.WriteHeader(503) },
		"hangs up":  func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"429":       func(w http.ResponseWriter) { w.WriteHeader(429) },
		"429 later": func(w http.ResponseWriter) { w.Header().Set("Retry-After", "1"); w.WriteHeader(429) },
	} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			server.Add(repo, content)
			c, notices := client(t, server)
			times := map[string]int{}
			server.Break(func(w http.ResponseWriter, r *http.Request) bool {
				key := r.Method + r.URL.Path
				if times[key]++; times[key] > 2 || name == "429 later" && (times[key] > 1 || r.URL.Path[1] != 'a') {
					return false
				}
				fault(w)
				return true
			})
			begin := time.Now()
			s, err := pull(c, "config.json", "model.safetensors")
			require.NoError(t, err)
			same(t, weights, s.Dir, "model.safetensors")
			if name == "429 later" {
				require.GreaterOrEqual(t, time.Since(begin), time.Second)
				require.Equal(t, []string{"org/name: " + server.Host + " answers 429 Too Many Requests; trying again in 1s"}, *notices)
			} else {
				require.GreaterOrEqual(t, len(*notices), 8)
			}
		})
	}
	t.Run("too often", func(t *testing.T) {
		server := hubtest.New(t)
		server.Break(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(502); return true })
		c, notices := client(t, server)
		_, err := pull(c, "config.json")
		require.EqualError(t, err, "org/name: "+server.Host+" answers 502 Bad Gateway")
		require.Len(t, *notices, maxFailures-1)
	})
	t.Run("much later", func(t *testing.T) {
		server := hubtest.New(t)
		server.Break(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(429)
			return true
		})
		c, _ := client(t, server)
		_, err := pull(c, "config.json")
		require.ErrorContains(t, err, "answers 429 Too Many Requests, and wants to be asked again in 24h0m0s")
	})
}

// TestStandstill wants a connection without data to be given up.
func TestStandstill(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, notices := client(t, server)
	c.Timeout = time.Second
	first := true
	server.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/large/") || !first {
			return false
		}
		first = false
		w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		w.Write(weights[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	s, err := pull(c, "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
	require.Len(t, *notices, 1)
	require.Contains(t, (*notices)[0], "cut off after 1000 of 3145728 bytes: no data for 1s; trying again")
}

// TestDamaged wants content that isn't what its name says never to get into the cache.
func TestDamaged(t *testing.T) {
	for _, name := range []string{"model.safetensors", "config.json"} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			server.Add(repo, content)
			c, _ := client(t, server)
			server.Break(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && (strings.HasPrefix(r.URL.Path, "/large/") || strings.HasSuffix(r.URL.Path, "config.json")) {
					bad := slices.Clone(content[name])
					bad[len(bad)/2] ^= 1
					w.Write(bad)
					return true
				}
				return false
			})
			_, err := pull(c, name)
			require.ErrorContains(t, err, "org/name: "+name+": its ")
			require.ErrorContains(t, err, "it was damaged on the way; it is deleted, download it again")
			require.Nil(t, tree(t, filepath.Join(c.repoDir(repo), "blobs")))
			server.Break(nil)
			s, err := pull(c, name)
			require.NoError(t, err)
			same(t, content[name], s.Dir, name)
		})
	}
}

// TestToken wants the token at the endpoint and nowhere else, whatever redirects say.
func TestToken(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content).Token = "hf_secret"
	c, _ := client(t, server)
	c.Token = "hf_secret"
	seen := map[string]string{}
	// A server that leads back to the endpoint's own address doesn't get the token sent there either.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen["elsewhere"] = r.Header.Get("Authorization")
		http.Redirect(w, r, server.URL+"/back", http.StatusFound)
	}))
	defer elsewhere.Close()
	server.Break(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/large/"):
			seen["large"] = r.Header.Get("Authorization")
		case strings.HasSuffix(r.URL.Path, "/config.json") && r.Method == http.MethodGet:
			seen["config"] = r.Header.Get("Authorization")
			http.Redirect(w, r, elsewhere.URL+"/file", http.StatusFound)
			return true
		case r.URL.Path == "/back":
			seen["back"] = r.Header.Get("Authorization")
			w.Write(config)
			return true
		}
		return false
	})
	s, err := pull(c, "config.json", "model.safetensors")
	require.NoError(t, err)
	same(t, config, s.Dir, "config.json")
	require.Equal(t, map[string]string{"large": "", "config": "Bearer hf_secret", "elsewhere": "", "back": ""}, seen)
}

// TestRefusals wants one line for each that says what to do.
func TestRefusals(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	server.Add("org/gated", content).Gated = true
	server.Add("org/private", content).Token = "hf_owner"
	ask := func(token, repo, revision, file string) string {
		c, _ := client(t, server)
		c.Token = token
		s, err := c.Snapshot(t.Context(), repo, revision)
		if err == nil {
			err = c.Fetch(t.Context(), s, []string{file})
		}
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
		require.Empty(t, leftovers(t, c))
		return err.Error()
	}
	host, login := server.Host, "give a token in $HF_TOKEN, or log in with `hf auth login`"
	other := "use a token that may read it (in $HF_TOKEN, or from `hf auth login`)"
	require.Equal(t, host+" has no model org/nothing, or not for everybody (401): check the name, or "+login, ask("", "org/nothing", "main", ""))
	require.Equal(t, host+" has no model org/nothing, or not for everybody (404): check the name, or "+other, ask("hf_me", "org/nothing", "main", ""))
	require.Equal(t, host+" has no model org/private, or not for everybody (404): check the name, or "+other, ask("hf_me", "org/private", "main", ""))
	require.Equal(t, "org/gated is gated (401): accept its conditions at "+server.URL+"/org/gated, then "+login, ask("", "org/gated", "main", "config.json"))
	require.Equal(t, "org/gated is gated (403): accept its conditions at "+server.URL+"/org/gated, then "+other, ask("hf_me", "org/gated", "main", "config.json"))
	require.Equal(t, `org/name has no revision "v9" (404), neither a branch nor a tag nor a commit; see `+server.URL+"/org/name/commits", ask("", repo, "v9", ""))
	require.Contains(t, ask("", repo, "main", "absent.json"), `org/name has no file "absent.json" at revision `)

	plain := func(status int, message string) {
		server.Break(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Error-Message", message)
			w.WriteHeader(status)
			return true
		})
	}
	plain(401, "")
	require.Equal(t, host+" doesn't know the token that was given for org/name (401): make another at "+server.URL+"/settings/tokens, and put it into $HF_TOKEN", ask("hf_me", repo, "main", ""))
	plain(403, "")
	require.Equal(t, host+" refuses access to org/name (403): look at "+server.URL+"/org/name, and "+login, ask("", repo, "main", ""))
	plain(403, "Access to this resource is disabled.")
	require.Equal(t, host+" has disabled access to org/name (403); see "+server.URL+"/org/name", ask("", repo, "main", ""))
	plain(404, "")
	require.Contains(t, ask("", repo, "main", ""), "has no model org/name")
	require.Contains(t, ask("", repo, "v9", ""), `has no revision "v9" (404)`)
	plain(418, "")
	require.Equal(t, "org/name: "+host+" answers 418 I'm a teapot, expected the file; is $HF_ENDPOINT right?", ask("", repo, "main", ""))
}

// TestKnownMissing wants a file that isn't there to be noted as Python's client does.
func TestKnownMissing(t *testing.T) {
	server := hubtest.New(t)
	r := server.Add(repo, content)
	c, _ := client(t, server)
	_, err := pull(c, "absent/x.json")
	require.Error(t, err)
	require.Equal(t, []string{"models--org--name/.no_exist/" + r.Commit + "/absent/x.json"}, tree(t, c.Cache))
}

// TestNoNetwork wants a quick error, and what is in the cache to serve.
func TestNoNetwork(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, _ := client(t, server)
	_, err := pull(c, "config.json")
	require.NoError(t, err)

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	away := &Client{Endpoint: "http://" + closed.Addr().String(), Cache: c.Cache, pause: time.Millisecond}
	var notices []string
	away.Notice = func(text string) { notices = append(notices, text) }
	s, err := pull(away, "config.json")
	require.NoError(t, err)
	require.True(t, s.Local)
	require.Contains(t, notices[len(notices)-1], "connection refused; is there a network, and are $HF_ENDPOINT and $HTTPS_PROXY right?; using what "+c.Cache+" has of org/name")
	_, err = pull(away, "model.safetensors")
	require.ErrorContains(t, err, "model.safetensors isn't in "+s.Dir+", and can't be downloaded now")
	_, err = away.Snapshot(t.Context(), "org/other", "main")
	require.ErrorContains(t, err, "org/other: "+closed.Addr().String()+" can't be reached: dial tcp")

	for _, endpoint := range []string{"huggingface.co", "ftp://x", "http://", ":"} {
		bad := &Client{Endpoint: endpoint, Cache: c.Cache}
		_, err = bad.Snapshot(t.Context(), repo, "main")
		require.ErrorContains(t, err, "$HF_ENDPOINT is ")
	}
}

// TestUntrusted wants a server with a certificate that nobody vouches for to be an error at once.
func TestUntrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := &Client{Endpoint: server.URL, Cache: t.TempDir(), Notice: func(text string) { t.Error(text) }}
	_, err := c.Snapshot(t.Context(), repo, "main")
	require.ErrorContains(t, err, "isn't trusted: tls: failed to verify certificate")
}

// TestHostileServer wants what a server may make up to be refused before anything is written.
func TestHostileServer(t *testing.T) {
	listing := func(files ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"sha": %q, "siblings": [`, strings.Repeat("ab", 20))
			for i, f := range files {
				fmt.Fprintf(w, "%s{\"rfilename\": %q}", strings.Repeat(",", min(i, 1)), f)
			}
			io.WriteString(w, "]}")
		}
	}
	header := func(pairs ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(pairs); i += 2 {
				w.Header().Set(pairs[i], pairs[i+1])
			}
		}
	}
	hash := strings.Repeat("ab", 32)
	for name, test := range map[string]struct {
		listing, head, get func(http.ResponseWriter)
		want               string
	}{
		"path upwards":           {listing: listing("config.json", "../../x"), want: `has "../../x", which isn't inside the repository`},
		"path upwards within":    {listing: listing("a/../../x"), want: "isn't inside the repository"},
		"absolute path":          {listing: listing("/etc/passwd"), want: "isn't inside the repository"},
		"empty path":             {listing: listing(""), want: "isn't inside the repository"},
		"commit upwards":         {listing: func(w http.ResponseWriter) { io.WriteString(w, `{"sha": "../../../x"}`) }, want: "is of commit"},
		"no JSON":                {listing: func(w http.ResponseWriter) { io.WriteString(w, "<html>") }, want: "can't be read"},
		"deep JSON":              {listing: func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("[", 1<<20)) }, want: "can't be read"},
		"endless JSON":           {listing: func(w http.ResponseWriter) { io.Copy(w, io.LimitReader(zeros{}, 1<<40)) }, want: "more than 33554432 bytes"},
		"ETag upwards":           {head: header("ETag", `"../../x"`), want: "expected a hash as its ETag"},
		"ETag of another file":   {head: header("ETag", `"x.incomplete"`), want: "expected a hash as its ETag"},
		"no ETag":                {head: header(), want: "expected a hash as its ETag"},
		"huge file":              {head: header("X-Linked-Etag", hash, "X-Linked-Size", "9000000000000000000"), want: "expected at most"},
		"negative size":          {head: header("X-Linked-Etag", hash, "X-Linked-Size", "-5"), want: "expected at most"},
		"no number":              {head: header("X-Linked-Etag", hash, "X-Linked-Size", "1e3"), want: "expected at most"},
		"more than it said":      {head: header("X-Linked-Etag", hash, "X-Linked-Size", "5"), get: chunked(6), want: "sends more than the 5 bytes"},
		"much more than it said": {head: header("X-Linked-Etag", hash, "X-Linked-Size", "5"), get: chunked(1 << 30), want: "sends more than the 5 bytes"},
		"a size nobody knows":    {head: header("X-Linked-Etag", hash), get: chunked(1 << 30), want: "doesn't say how large it is"},
		"a size that is too large": {head: header("X-Linked-Etag", hash), get: header("Content-Length", "300000000"),
			want: "sends 300000000 bytes, expected at most 268435456"},
		"compressed":       {head: header("X-Linked-Etag", hash, "X-Linked-Size", "5"), get: header("Content-Encoding", "gzip"), want: "compressed"},
		"circle":           {head: func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(302) }, want: "10 redirects"},
		"another protocol": {head: func(w http.ResponseWriter) { w.Header().Set("Location", "file:///etc/passwd"); w.WriteHeader(302) }, want: "unsupported protocol scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			server.Add(repo, content)
			server.Break(func(w http.ResponseWriter, r *http.Request) bool {
				answer := test.listing
				if !strings.HasPrefix(r.URL.Path, "/api/") {
					if answer = test.head; r.Method == http.MethodGet {
						answer = test.get
					}
				}
				if answer != nil {
					answer(w)
				}
				return answer != nil
			})
			c, _ := client(t, server)
			_, err := pull(c, "config.json")
			require.ErrorContains(t, err, test.want)
			for _, path := range tree(t, filepath.Dir(c.Cache)) {
				require.Regexp(t, `\.incomplete$|\.lock$`, path)
				info, err := os.Stat(filepath.Join(filepath.Dir(c.Cache), path))
				require.NoError(t, err)
				require.Zero(t, info.Size(), path)
			}
		})
	}
	t.Run("names asked for", func(t *testing.T) {
		server := hubtest.New(t)
		server.Add(repo, content)
		c, _ := client(t, server)
		for _, name := range []string{"../x", "/x", "", `a\..\b`} {
			_, err := pull(c, name)
			require.ErrorContains(t, err, "is no name for a file here", name)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// chunked sends n bytes without saying how many.
func chunked(n int64) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.(http.Flusher).Flush()
		io.Copy(w, io.LimitReader(zeros{}, n))
	}
}

// TestFullDisk wants words, and what fitted to be kept.
func TestFullDisk(t *testing.T) {
	t.Run("while writing", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("only Linux has /dev/full")
		}
		server := hubtest.New(t)
		server.Add(repo, content)
		c, _ := client(t, server)
		blob := c.blobPath(repo, hubtest.SHA256(weights))
		require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
		require.NoError(t, os.Symlink("/dev/full", blob+ourIncomplete))
		_, err := pull(c, "model.safetensors")
		require.ErrorContains(t, err, "org/name: model.safetensors: write ")
		require.ErrorContains(t, err, "no space left on device; make room and try again, what is there is kept")
	})
	t.Run("known before", func(t *testing.T) {
		server := hubtest.New(t)
		server.Add(repo, content)
		c, _ := client(t, server)
		if _, ok := freeSpace(c.Cache); !ok {
			t.Skip("this system doesn't tell how much room a disk has")
		}
		server.Break(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodHead {
				return false
			}
			w.Header().Set("X-Linked-Etag", hubtest.SHA256(weights))
			w.Header().Set("X-Linked-Size", "1000000000000")
			return true
		})
		_, err := pull(c, "model.safetensors")
		require.ErrorContains(t, err, "org/name: no space left for it: it needs 1000000.0 MB, but the disk of "+c.Cache+" has only ")
	})
}

// TestMain lets the test binary be another process that pulls.
func TestMain(m *testing.M) {
	if endpoint := os.Getenv("CLIPGO_TEST_PULL"); endpoint != "" {
		c := &Client{Endpoint: endpoint, Cache: os.Getenv("CLIPGO_TEST_CACHE"), Notice: func(text string) { fmt.Println(text) }}
		if _, err := pull(c, "config.json", "model.safetensors"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestProcesses wants several processes to download a file once.
func TestProcesses(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	var said [4]bytes.Buffer
	asked := 0
	server.Break(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "model.safetensors") {
			asked++
		}
		// Once all know that the file isn't there, they will come to the lock.
		for strings.HasPrefix(r.URL.Path, "/large/") && asked < len(said) {
			server.Meanwhile(func() { time.Sleep(500 * time.Millisecond) })
		}
		return false
	})
	c, _ := client(t, server)
	var all []*exec.Cmd
	for i := range said {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CLIPGO_TEST_PULL="+server.URL, "CLIPGO_TEST_CACHE="+c.Cache)
		cmd.Stdout = &said[i]
		require.NoError(t, cmd.Start())
		all = append(all, cmd)
	}
	waited := ""
	for i, cmd := range all {
		require.NoError(t, cmd.Wait(), said[i].String())
		waited += said[i].String()
	}
	require.Equal(t, 1, strings.Count(strings.Join(server.Requests(), "\n"), "GET /large/"))
	require.Contains(t, waited, "org/name: model.safetensors: another process downloads it; waiting\n")
	require.Empty(t, leftovers(t, c))
	c.Offline = true
	s, err := pull(c, "config.json", "model.safetensors")
	require.NoError(t, err)
	same(t, weights, s.Dir, "model.safetensors")
}

// TestReadOnlyCache wants a cache that others filled, and we can't write to, to serve.
func TestReadOnlyCache(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	server := hubtest.New(t)
	server.Add(repo, content)
	c, _ := client(t, server)
	_, err := pull(c, "config.json")
	require.NoError(t, err)
	refs := filepath.Join(c.repoDir(repo), "refs")
	require.NoError(t, os.Remove(filepath.Join(refs, "main")))
	require.NoError(t, os.Chmod(refs, 0o500))
	defer os.Chmod(refs, 0o700)
	_, err = pull(c, "config.json")
	require.NoError(t, err)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999999999": 0,
		"Tue, 24 Nov 2026 12:00:30 GMT": 30 * time.Second, "Tue, 24 Nov 2020 12:00:30 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	for value, want := range map[string]time.Duration{`"api";r=0;t=55`: 55 * time.Second, `"api"; r=0; t=5`: 5 * time.Second, `"api";r=3;t=55`: 0, `;`: 0, `t=5`: 0} {
		require.Equal(t, want, retryAfter(http.Header{"Ratelimit": {value}}, now), value)
	}
}

func TestErrNotExist(t *testing.T) {
	c := &Client{Cache: t.TempDir()}
	_, err := c.cached(repo, "main")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.MkdirAll(filepath.Join(c.repoDir(repo), "refs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.repoDir(repo), "refs", "main"), []byte("../../../etc"), 0o600))
	_, err = c.cached(repo, "main")
	require.ErrorContains(t, err, "expected a commit")
	require.False(t, errors.Is(err, os.ErrNotExist))
}
