package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/hub/hubtest"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/testutil"
)

// fakeHub starts a Hub and points all that the commands read at it, and at empty caches.
func fakeHub(t *testing.T) *hubtest.Server {
	server := hubtest.New(t)
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE",
		"TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_DISABLE_PROGRESS_BARS", "CLIPGO_MODEL"} {
		t.Setenv(name, "")
	}
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", filepath.Join(t.TempDir(), "hf"))
	t.Setenv("CLIPGO_CACHE", filepath.Join(t.TempDir(), "clipgo"))
	return server
}

// addDemo adds a repository that holds the demo model ready.
func addDemo(t *testing.T, server *hubtest.Server, name string, files ...string) *hubtest.Repo {
	data, err := os.ReadFile(demo("demo.gguf"))
	require.NoError(t, err)
	content := map[string][]byte{"README.md": []byte("a model")}
	for _, file := range files {
		content[file] = data
	}
	return server.Add(name, content)
}

// downloaded lists the files that were asked for.
func downloaded(server *hubtest.Server) (files []string) {
	for _, r := range server.Requests() {
		if _, file, ok := strings.Cut(r, "/resolve/"); ok && strings.HasPrefix(r, "GET ") {
			files = append(files, file[41:])
		}
	}
	slices.Sort(files)
	return files
}

// TestPull follows a checkpoint from the Hub to its scores: downloaded once, converted once, and then used without a network.
func TestPull(t *testing.T) {
	for name, files := range map[string]string{
		"clip-mixed":             "config.json model.safetensors preprocessor_config.json tokenizer.json tokenizer_config.json",
		"siglip":                 "config.json model.safetensors preprocessor_config.json spiece.model tokenizer_config.json",
		"openclip-vit-quickgelu": "open_clip_config.json open_clip_model.safetensors",
		"clip-laion-style": "config.json model-00001-of-00007.safetensors model-00002-of-00007.safetensors model-00003-of-00007.safetensors " +
			"model-00004-of-00007.safetensors model-00005-of-00007.safetensors model-00006-of-00007.safetensors model-00007-of-00007.safetensors " +
			"model.safetensors.index.json preprocessor_config.json tokenizer.json tokenizer_config.json",
	} {
		t.Run(name, func(t *testing.T) {
			folder := testutil.Shared(t, "golden", name)
			server := fakeHub(t)
			repo := server.AddFolder(t, "org/"+name, folder)
			repo.Files["flax_model.msgpack"] = []byte("not needed")
			want := filepath.Join(os.Getenv("CLIPGO_CACHE"), "hub", "models--org--"+name, repo.Commit, name+"-Q8_0.gguf")
			r := clip(t, "pull", "org/"+name+":q8_0")
			require.Equal(t, want+"\n", r.done(t))
			require.Contains(t, r.err, "clipgo: org/"+name+": downloading ")
			require.Contains(t, r.err, "clipgo: wrote "+want+": ")
			require.Equal(t, strings.Fields(files), downloaded(server))

			direct := filepath.Join(t.TempDir(), "direct.gguf")
			clip(t, "convert", folder, "--type", "Q8_0", "--name", "org/"+name, "-o", direct).done(t)
			a, err := os.ReadFile(want)
			require.NoError(t, err)
			b, err := os.ReadFile(direct)
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b), "the same as converting the folder")

			server.Forget()
			require.Equal(t, want+"\n", clip(t, "pull", "org/"+name+":Q8_0").done(t))
			require.Equal(t, []string{"GET /api/models/org/" + name + "/revision/main"}, server.Requests())

			// Neither the network nor the checkpoint is needed any more.
			server.Forget()
			require.NoError(t, os.RemoveAll(os.Getenv("HF_HOME")))
			classify := []string{"classify", "-l", "owl", "-l", "car", "--json", demo("owl.png"), "-m"}
			r = clip(t, append(classify, "org/"+name+":Q8_0")...)
			require.Equal(t, clip(t, append(classify, direct)...).done(t), r.done(t))
			require.NotContains(t, r.err, "clipgo: wrote")
			require.Empty(t, server.Requests())
		})
	}
}

// tinyOpenCLIP is a checkpoint of open_clip's that is made here, so that it is there wherever the tests run.
func tinyOpenCLIP(t *testing.T) map[string][]byte {
	text := []byte(`{"model_cfg": {"embed_dim": 4, "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4},
		"text_cfg": {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 2, "layers": 1}}, "preprocess_cfg": {"size": 8}}`)
	config, err := jsonconf.Parse("open_clip_config.json", text)
	require.NoError(t, err)
	model, err := arch.OpenCLIP.Read(config.Object("model_cfg"))
	require.NoError(t, err)
	header, data := map[string]any{}, []byte{}
	add := func(name string, shape []uint64, elements uint64) {
		begin := len(data)
		for i := range elements {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i%7)/8))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{begin, len(data)}}
	}
	add("logit_scale", []uint64{}, 1)
	for _, tensor := range arch.OpenCLIP.Tensors(model) {
		if n := len(tensor.Sources); n > 0 && header[tensor.Sources[n-1]] == nil {
			shape, elements := slices.Clone(tensor.From), uint64(1)
			slices.Reverse(shape)
			for _, d := range shape {
				elements *= d
			}
			add(tensor.Sources[n-1], shape, elements)
		}
	}
	h, err := json.Marshal(header)
	require.NoError(t, err)
	weights := append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
	return map[string][]byte{"open_clip_config.json": text, "open_clip_model.safetensors": append(weights, data...), "README.md": nil}
}

// TestPullTiny pulls and uses a checkpoint in one command, and again without the Hub.
func TestPullTiny(t *testing.T) {
	server := fakeHub(t)
	server.Add("org/tiny", tinyOpenCLIP(t))
	embed := []string{"embed", "-m", "org/tiny:F32", "--image", demo("owl.png")}
	r := clip(t, embed...)
	first := r.done(t)
	require.Contains(t, r.err, "tiny-F32.gguf: ")
	require.Equal(t, []string{"open_clip_config.json", "open_clip_model.safetensors"}, downloaded(server))
	server.Forget()
	require.Equal(t, first, clip(t, embed...).done(t))
	require.Empty(t, server.Requests())
}

// TestHubNames uses a model of the Hub in every place of a model.
func TestHubNames(t *testing.T) {
	folder := testutil.Shared(t, "golden", "clip-mixed")
	server := fakeHub(t)
	repo := server.AddFolder(t, "org/clip", folder)
	t.Chdir(t.TempDir())
	owl := demo("owl.png")
	r := clip(t, "tokenize", "-m", "org/clip", "a")
	require.NotEmpty(t, r.done(t))
	require.Contains(t, r.err, "clip-F16.gguf: clip, ")
	t.Setenv("CLIPGO_MODEL", "org/clip")
	require.Contains(t, clip(t, "embed", "--text", "a", "--json").done(t), `"model":"org/clip"`)
	require.Contains(t, clip(t, "inspect", "org/clip").done(t), "clip-F16.gguf: GGUF version 3")
	require.Contains(t, clip(t, "inspect", "org/clip@"+repo.Commit+":BF16").done(t), "clip-BF16.gguf: GGUF version 3")
	require.Contains(t, clip(t, "compare", "org/clip", "org/clip:Q8_0", "--images", owl).done(t), "clip-Q8_0.gguf")
	clip(t, "convert", "org/clip").done(t)
	clip(t, "convert", "org/clip:Q4_0").done(t)
	clip(t, "convert", "hf://org/clip", "--type", "F32", "-o", "f.gguf").done(t)
	clip(t, "quantize", "org/clip", "Q5_0").done(t)
	require.Equal(t, []string{"clip-F16.gguf", "clip-Q4_0.gguf", "clip-Q5_0.gguf", "f.gguf"}, files(t, "."))
	require.Len(t, downloaded(server), 5, "each file once")

	t.Run("a file of that name goes before", func(t *testing.T) {
		require.NoError(t, os.Mkdir("org", 0o700))
		data, err := os.ReadFile(demo("demo.gguf"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join("org", "clip"), data, 0o600))
		require.Contains(t, clip(t, "inspect", "org/clip").done(t), "clipgo demo model")
		require.Contains(t, clip(t, "inspect", "hf://org/clip").done(t), "clip-F16.gguf: GGUF version 3")
		require.Contains(t, clip(t, "pull", "org/clip").done(t), "clip-F16.gguf")
	})
	t.Run("only pull looks for a newer one", func(t *testing.T) {
		old := clip(t, "pull", "org/clip").done(t)
		server.Change(func() { repo.Commit = strings.Repeat("ef", 20) })
		server.Forget()
		clip(t, "tokenize", "-m", "hf://org/clip", "a").done(t)
		require.Empty(t, server.Requests())
		fresh := clip(t, "pull", "org/clip").done(t)
		require.NotEqual(t, old, fresh)
		require.Contains(t, fresh, repo.Commit)
		require.Empty(t, downloaded(server), "its files are the same")
	})
	t.Run("offline", func(t *testing.T) {
		t.Setenv("HF_HUB_OFFLINE", "1")
		server.Forget()
		require.Contains(t, clip(t, "pull", "org/clip:Q4_K_M").done(t), "clip-Q4_K_M.gguf", "what is made of downloaded files needs no network")
		clip(t, "pull", "org/other").refused(t, "org/other isn't in ", "$HF_HUB_OFFLINE")
		require.Empty(t, server.Requests())
	})
	t.Run("no cache", func(t *testing.T) {
		t.Setenv("CLIPGO_CACHE", "off")
		clip(t, "pull", "org/clip").refused(t, "$CLIPGO_CACHE is off", "clipgo convert ORG/NAME -o FILE")
		clip(t, "convert", "org/clip@main", "-o", "g.gguf").done(t)
	})
}

// TestPullGGUF takes files that a repository holds ready.
func TestPullGGUF(t *testing.T) {
	server := fakeHub(t)
	one := addDemo(t, server, "org/one", "demo.gguf")
	addDemo(t, server, "org/many", "x_ggml-model-f16.gguf", "x_ggml-model-f32.gguf", "x_ggml-model-q4_0.gguf", "x_ggml-text-model-q4_0.gguf", "mmproj-q8_0.gguf")
	addDemo(t, server, "org/quantised", "a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "c.gguf")
	addDemo(t, server, "org/none", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf")
	link := func(name string) string {
		path := strings.TrimSuffix(clip(t, "pull", name).done(t), "\n")
		target, err := os.Readlink(path)
		if err != nil {
			return "file " + filepath.Base(path)
		}
		return filepath.Base(path) + " -> " + filepath.Base(target)
	}
	require.Equal(t, "one.gguf -> demo.gguf", link("org/one"))
	require.Equal(t, "many.gguf -> x_ggml-model-f16.gguf", link("org/many"))
	require.Equal(t, "many-Q4_0.gguf -> x_ggml-model-q4_0.gguf", link("org/many:Q4_0"))
	require.Equal(t, "x_ggml-text-model-q4_0.gguf -> x_ggml-text-model-q4_0.gguf", link("org/many:x_ggml-text-model-q4_0.gguf"))
	server.Forget()
	require.Equal(t, "file many-Q8_0.gguf", link("org/many:Q8_0"))
	require.Empty(t, downloaded(server), "made of the one that is there")
	clip(t, "pull", "org/quantised").refused(t, "org/quantised: 2 of its GGUF files fit; there are a-Q4_K_M.gguf, b-Q4_K_M.gguf, c.gguf; expected ORG/NAME:TYPE or ORG/NAME:FILE.gguf")
	require.Equal(t, "c.gguf -> c.gguf", link("org/quantised:c.gguf"))
	clip(t, "pull", "org/none").refused(t, "org/none: there is neither config.json nor open_clip_config.json")
	clip(t, "pull", "org/many:z.gguf").refused(t, "org/many: 0 of its GGUF files fit; there are ")

	server.Forget()
	require.Contains(t, clip(t, "classify", "-m", "org/one", "-l", "owl", "-l", "car", demo("owl.png")).done(t), "owl")
	require.Empty(t, server.Requests())
	// A cache that was emptied is filled again.
	require.NoError(t, os.RemoveAll(os.Getenv("HF_HOME")))
	require.Contains(t, clip(t, "classify", "-m", "org/one", "-l", "owl", "-l", "car", demo("owl.png")).done(t), "owl")
	require.Equal(t, []string{"demo.gguf"}, downloaded(server))
	require.Equal(t, "one.gguf -> demo.gguf", link("org/one@"+one.Commit))
}

func TestChooseGGUF(t *testing.T) {
	for name, want := range map[string]string{
		"clip-vit-base-patch32_ggml-model-f16.gguf": "F16", "x-BF16.gguf": "BF16", "x.Q4_K_M.gguf": "Q4_K_M", "x-q4_k.gguf": "Q4_K_M", "x-Q8_0.gguf": "Q8_0",
		"x.gguf": "", "xf16.gguf": "", "clip-vit-b32_q4_0.gguf": "Q4_0", "f16-x.gguf": "", "x-Q9_0.gguf": "",
	} {
		require.Equal(t, want, typeOf(name), name)
	}
}

func TestPullRefuses(t *testing.T) {
	server := fakeHub(t)
	addDemo(t, server, "org/one", "demo.gguf")
	addDemo(t, server, "org/gated", "demo.gguf").Gated = true
	addDemo(t, server, "org/private", "demo.gguf").Token = "hf_mine"
	server.Add("org/onnx", map[string][]byte{"config.json": []byte("{}"), "onnx/model.onnx": nil})
	clip(t, "pull").refused(t, "pull: no model")
	clip(t, "pull", "one").refused(t, `"one" is no model of the Hub: it has 0 slashes, expected one`)
	clip(t, "pull", "org/one:Q9").refused(t, `unknown type "Q9"`)
	clip(t, "pull", "org/absent").refused(t, server.Host+" has no model org/absent, or not for everybody (401)")
	clip(t, "pull", "org/one@v2").refused(t, `org/one has no revision "v2" (404)`)
	clip(t, "pull", "org/gated").refused(t, "org/gated is gated (401): accept its conditions at "+server.URL+"/org/gated")
	clip(t, "pull", "org/private").refused(t, "$HF_TOKEN")
	clip(t, "pull", "org/onnx").refused(t, "org/onnx: there are no weights that can be read (there is onnx/model.onnx)")
	clip(t, "classify", "-m", "org/absent", "-l", "x", demo("owl.png")).refused(t, "has no model org/absent", "and there is no file org/absent here")
	server.Forget()
	clip(t, "convert", "org/one:Q9").refused(t, "convert: unknown type")
	clip(t, "quantize", "org/one", "Q9").refused(t, "quantize: unknown type")
	clip(t, "classify", "-m", "models/absent.gguf", "-l", "x", demo("owl.png")).refused(t, "model models/absent.gguf: no such file", "clipgo pull")
	require.Empty(t, server.Requests(), "neither for a mistake nor for a name that looks like a file's")
	t.Setenv("HF_TOKEN", "hf_mine")
	clip(t, "pull", "org/private").done(t)

	r := clip(t, "pull", "org/one", "org/absent")
	require.Equal(t, exitPartial, r.code)
	require.Equal(t, 1, strings.Count(r.out, "\n"))
	require.Contains(t, r.err, "clipgo: pull: "+server.Host+" has no model org/absent")
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	require.Equal(t, exitUsage, clip(t, "pull", "org/two", "org/three").code)
	require.Contains(t, clip(t, "pull", "org/one").err, "using what "+os.Getenv("HF_HOME"))
}

// TestModels lists and removes what was pulled.
func TestModels(t *testing.T) {
	server := fakeHub(t)
	require.Empty(t, clip(t, "models").done(t))
	require.Equal(t, "[]\n", clip(t, "models", "--json").done(t))
	commit := addDemo(t, server, "org/one", "demo.gguf").Commit
	for _, name := range []string{"org/one", "org/one:Q8_0", "org/one:demo.gguf"} {
		clip(t, "pull", name).done(t)
	}
	list := clip(t, "models").done(t)
	require.Regexp(t, `^org/one@`+commit+`:demo\.gguf +3\.9 MB  .*demo\.gguf
org/one@`+commit+`:Q8_0 +2\.2 MB  .*one-Q8_0\.gguf
org/one@`+commit+` +3\.9 MB  .*one\.gguf
$`, list)
	require.Contains(t, clip(t, "models", "--json").done(t), `{"name":"org/one@`+commit+`:Q8_0","bytes":2`)
	// What is listed is a name.
	require.Contains(t, clip(t, "inspect", "org/one@"+commit+":Q8_0").done(t), "one-Q8_0.gguf")

	clip(t, "models", "--remove", "org/two").refused(t, "org/two was not pulled")
	r := clip(t, "models", "--remove", "org/one:q8_0", "--remove", "org/one:Q4_0")
	require.Equal(t, exitPartial, r.code)
	require.NotContains(t, clip(t, "models").done(t), "Q8_0")
	clip(t, "models", "--remove", "org/one@"+strings.Repeat("0", 40)).refused(t, "was not pulled")
	clip(t, "models", "--remove", "org/one").done(t)
	require.Empty(t, clip(t, "models").done(t))
	server.Forget()
	clip(t, "pull", "org/one").done(t)
	require.Empty(t, downloaded(server), "the Hub's cache is as it was")
}

// slowly sends a large file in pieces.
func slowly(data []byte, pause time.Duration) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/large/") || r.Header.Get("Range") != "" {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		for part := range slices.Chunk(data, len(data)/8) {
			if _, err := w.Write(part); err != nil {
				return true
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return true
			case <-time.After(pause):
			}
		}
		return true
	}
}

// TestPullInterrupted wants a process that is interrupted to leave nothing but what the next one goes on from.
func TestPullInterrupted(t *testing.T) {
	server := fakeHub(t)
	data := addDemo(t, server, "org/one", "demo.gguf").Files["demo.gguf"]
	server.Break(slowly(data, time.Minute))
	cmd := program(t, "pull", "org/one")
	var said bytes.Buffer
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	part := filepath.Join(os.Getenv("HF_HOME"), "hub", "models--org--one", "blobs", hubtest.SHA256(data)+".clipgo.incomplete")
	require.Eventually(t, func() bool {
		info, err := os.Stat(part)
		return err == nil && info.Size() > 0
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitUsage, cmd.ProcessState.ExitCode())
	require.True(t, strings.HasSuffix(said.String(), "clipgo: interrupted\n"), said.String())
	var left []string
	require.NoError(t, filepath.WalkDir(os.Getenv("HF_HOME"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") {
			left = append(left, filepath.Base(path))
		}
		return err
	}))
	require.Equal(t, []string{filepath.Base(part)}, left)
	require.NoDirExists(t, os.Getenv("CLIPGO_CACHE"))

	var ranges []string
	server.Break(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/large/") {
			ranges = append(ranges, r.Header.Get("Range"))
		}
		return false
	})
	path := strings.TrimSuffix(clip(t, "pull", "org/one").done(t), "\n")
	require.Len(t, ranges, 1)
	require.Regexp(t, `^bytes=[1-9]\d*-$`, ranges[0])
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
}
