package hub

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/hub/hubtest"
)

// python is a command that runs a script with huggingface_hub. $CLIPGO_PYTHON names an interpreter that has it.
func python(t *testing.T, server *hubtest.Server, cache, script string) *exec.Cmd {
	t.Helper()
	interpreter := os.Getenv("CLIPGO_PYTHON")
	if interpreter == "" {
		t.Skip("$CLIPGO_PYTHON names no Python with huggingface_hub to compare with")
	}
	cmd := exec.Command(interpreter, "-c", "import json\nfrom huggingface_hub import *\nfrom huggingface_hub.file_download import _CACHED_NO_EXIST\n"+script)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+server.URL, "HF_HUB_CACHE="+cache, "HF_HUB_DISABLE_XET=1", "HF_HUB_OFFLINE=", "HF_TOKEN=")
	cmd.Stderr = os.Stderr
	return cmd
}

// ask runs a command whose last line is JSON for answer.
func ask(t *testing.T, cmd *exec.Cmd, answer any) {
	t.Helper()
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), answer), "%s", out)
}

// TestPythonReadsOurs has huggingface_hub find what we downloaded.
func TestPythonReadsOurs(t *testing.T) {
	for name, noLinks := range map[string]bool{"links": false, "no links": true} {
		t.Run(name, func(t *testing.T) {
			server := hubtest.New(t)
			r := server.Add(repo, content)
			c, _ := client(t, server)
			c.NoLinks = noLinks
			s, err := pull(c, "config.json", "model.safetensors", "onnx/model.json")
			require.NoError(t, err)
			_, err = pull(c, "absent.json")
			require.Error(t, err)
			server.Forget()
			var got struct {
				Warnings, Refs         []string
				Repo, Commit, Snapshot string
				Files                  int
				Size                   int64
				Config                 string
				Missing                bool
			}
			ask(t, python(t, server, c.Cache, `
info = scan_cache_dir()
[repo] = info.repos
[revision] = repo.revisions
print(json.dumps({"Warnings": [str(w) for w in info.warnings], "Repo": repo.repo_id, "Refs": list(revision.refs), "Commit": revision.commit_hash,
	"Files": len(revision.files), "Size": repo.size_on_disk, "Snapshot": snapshot_download("org/name", local_files_only=True),
	"Config": hf_hub_download("org/name", "config.json"),
	"Missing": try_to_load_from_cache("org/name", "absent.json") is _CACHED_NO_EXIST}))
`), &got)
			require.Empty(t, got.Warnings)
			require.Equal(t, []string{"main"}, got.Refs)
			require.Equal(t, []string{repo, r.Commit, s.Dir}, []string{got.Repo, got.Commit, got.Snapshot})
			require.Equal(t, 3, got.Files)
			require.EqualValues(t, len(weights)+len(config)+2, got.Size)
			require.Equal(t, filepath.Join(s.Dir, "config.json"), got.Config)
			require.True(t, got.Missing)
			require.NotContains(t, strings.Join(server.Requests(), "\n"), "GET /org/name", "Python downloads nothing")
		})
	}
}

// TestWeReadPythons finds what huggingface_hub downloaded.
func TestWeReadPythons(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, _ := client(t, server)
	var dir string
	ask(t, python(t, server, c.Cache, `print(json.dumps(snapshot_download("org/name")))`), &dir)
	server.Forget()
	s, err := pull(c, "config.json", "model.safetensors", "onnx/model.json")
	require.NoError(t, err)
	require.Equal(t, dir, s.Dir)
	same(t, weights, s.Dir, "model.safetensors")
	require.Equal(t, []string{"GET /api/models/org/name/revision/main"}, server.Requests())
	c.Offline = true
	s, err = pull(c, "model.safetensors")
	require.NoError(t, err)
	require.Equal(t, []string{"config.json", "model.safetensors", "onnx/model.json"}, s.Files)
	require.Empty(t, server.Requests()[1:])
}

// TestPythonLocks waits while huggingface_hub downloads the same file.
func TestPythonLocks(t *testing.T) {
	server := hubtest.New(t)
	server.Add(repo, content)
	c, notices := client(t, server)
	asked := make(chan bool, 1)
	server.Break(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/large/") {
			asked <- true
			server.Meanwhile(func() { time.Sleep(time.Second) })
		}
		return false
	})
	other := python(t, server, c.Cache, `hf_hub_download("org/name", "model.safetensors")`)
	require.NoError(t, other.Start())
	<-asked
	s, err := pull(c, "model.safetensors")
	require.NoError(t, err)
	require.NoError(t, other.Wait())
	require.Empty(t, asked, "downloaded once")
	require.Equal(t, []string{"org/name: model.safetensors: another process downloads it; waiting"}, *notices)
	same(t, weights, s.Dir, "model.safetensors")
}
