package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/internal/cachedir"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestMain lets the test binary stand in for the program, for what only a process of its own can show.
func TestMain(m *testing.M) {
	if os.Getenv("CLIPGO_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Setenv(cachedir.Env, "off") // the person's own is no place for tests
	os.Exit(m.Run())
}

// result is what a command line left behind.
type result struct {
	code int
	out  string
	err  string
}

// clip runs a command line with the native engine and an empty standard input.
func clip(t *testing.T, args ...string) result {
	t.Helper()
	return clipFrom(t, "", args...)
}

func clipFrom(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	var out, err bytes.Buffer
	code := run(t.Context(), append([]string{"clipgo"}, args...), streams{strings.NewReader(stdin), &out, &err})
	return result{code, out.String(), err.String()}
}

// done wants success and returns the answer.
func (r result) done(t *testing.T) string {
	t.Helper()
	require.Equal(t, exitDone, r.code, r.err)
	return r.out
}

// refused wants status 2, no answer, and one line that says all of the parts.
func (r result) refused(t *testing.T, parts ...string) {
	t.Helper()
	require.Equal(t, exitUsage, r.code, r.err)
	require.Empty(t, r.out)
	require.Equal(t, 1, strings.Count(r.err, "\n"), "one line: %s", r.err)
	require.True(t, strings.HasPrefix(r.err, "clipgo: "), r.err)
	for _, part := range parts {
		require.Contains(t, r.err, part)
	}
}

// demo is a file of the shipped test data.
func demo(name string) string { return filepath.Join(testutil.Root(), "testdata", name) }

// The demo model by its file, which isn't announced.
var model = "--model=" + demo("demo.gguf")

func TestHelp(t *testing.T) {
	alone := clip(t).done(t)
	require.Equal(t, alone, clip(t, "--help").done(t))
	require.Equal(t, alone, clip(t, "-h").done(t))
	require.Equal(t, alone, clip(t, "help").done(t))
	for _, c := range newApp(streams{}).Commands {
		require.Contains(t, alone, "\n  "+c.Name+" ")
		help := clip(t, c.Name, "--help").done(t)
		require.Equal(t, help, clip(t, "help", c.Name).done(t))
		require.Equal(t, help, clip(t, c.Name, "argument", "-h").done(t))
		require.Contains(t, help, "clipgo "+c.Name+" - "+c.Usage)
		for _, f := range c.Flags {
			require.Contains(t, help, "--"+f.Names()[0])
			doc := f.(cli.DocGenerationFlag)
			value, _ := cutQuoted(doc.GetUsage())
			require.Equal(t, doc.TakesValue(), value != "", "what takes a value names it: %s", f)
		}
		for _, line := range strings.Split(help, "\n") {
			require.LessOrEqual(t, len(line), 120, line)
			require.NotContains(t, line, "`")
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"unknown command":             {[]string{"clasify", "x"}, []string{`no command "clasify"`, "classify, embed", "clipgo --help"}},
		"help of unknown command":     {[]string{"help", "nope"}, []string{`no command "nope"`}},
		"flag before the command":     {[]string{"-m", "x", "classify"}, []string{`"-m"`, "command"}},
		"unknown flag":                {[]string{"classify", "--lables", "a", "x.png"}, []string{`classify: there is no flag "--lables"`, "clipgo classify --help"}},
		"unknown flag with value":     {[]string{"classify", "--lables=a", "x.png"}, []string{`"--lables=a"`}},
		"argument with a dash":        {[]string{"classify", "-l", "a", "-x.png"}, []string{`"-x.png"`, "after --"}},
		"flag without its value":      {[]string{"classify", "x.png", "-l"}, []string{"classify: -l needs a value"}},
		"long flag without its value": {[]string{"embed", "--text"}, []string{"embed: --text needs a value"}},
		"no number":                   {[]string{"classify", "-l", "a", "--top", "x", "x.png"}, []string{`classify: invalid value "x"`, "top"}},
		"no truth value":              {[]string{"classify", "-l", "a", "--json=x", "x.png"}, []string{`invalid boolean value "x"`, "json"}},
		"top 0":                       {[]string{"classify", "-l", "a", "--top", "0", "x.png"}, []string{"--top is 0, expected 1 or more"}},
		"top -1":                      {[]string{"classify", "-l", "a", "--top", "-1", "x.png"}, []string{"--top is -1"}},
		"two forms":                   {[]string{"classify", "-l", "a", "--json", "--csv", "x.png"}, []string{"exclude each other"}},
		"no pictures":                 {[]string{"classify", "-l", "a"}, []string{"no pictures", "give"}},
		"no labels":                   {[]string{"classify", "x.png"}, []string{"no labels", "-l LABEL", "--labels a,b,c", "--labels-file"}},
		"empty list of labels":        {[]string{"classify", "--labels", "", "x.png"}, []string{"no labels"}},
		"only commas":                 {[]string{"classify", "--labels", " , ,", "x.png"}, []string{"no labels"}},
		"labels file missing":         {[]string{"classify", "--labels-file", "/nonexistent", "x.png"}, []string{"reading labels", "/nonexistent"}},
		"bad activations":             {[]string{"classify", "-l", "a", "--activations", "int3", "x.png"}, []string{`--activations is "int3"`, "int8-block"}},
		"negative threads":            {[]string{"classify", "-l", "a", "--threads", "-2", "x.png"}, []string{"--threads is -2"}},
		"too many threads":            {[]string{"classify", "-l", "a", "--threads", "100000", "x.png"}, []string{"100000"}},
		"unknown instruction set":     {[]string{"classify", "-l", "a", "--isa", "mmx", "x.png"}, []string{`"mmx"`, "expected one of", "scalar"}},
		"nothing to embed":            {[]string{"embed"}, []string{"--image", "--text"}},
		"embed with an argument":      {[]string{"embed", "x.png"}, []string{`"x.png"`, "--image"}},
		"nothing to tokenize":         {[]string{"tokenize"}, []string{"no texts"}},
		"nothing to preprocess":       {[]string{"preprocess", "-o", "x.npy"}, []string{"0 pictures, expected one"}},
		"preprocess without output":   {[]string{"preprocess", "x.png"}, []string{"-o FILE.npy"}},
		"nothing to convert":          {[]string{"convert"}, []string{"0 folders, expected one"}},
		"nothing to quantize":         {[]string{"quantize"}, []string{"0 arguments", "IN.gguf [OUT.gguf] TYPE"}},
		"nothing to inspect":          {[]string{"inspect"}, []string{"0 files, expected one"}},
		"version with an argument":    {[]string{"version", "x"}, []string{`unexpected argument "x"`}},
	} {
		t.Run(name, func(t *testing.T) { clip(t, c.args...).refused(t, c.want...) })
	}
}

// TestModelErrors gives every command that computes what is no model.
func TestModelErrors(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(demo("demo.gguf"))
	require.NoError(t, err)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	cases := map[string]struct {
		path string
		want []string
	}{
		"missing":       {"/nonexistent.gguf", []string{"/nonexistent.gguf", "no such file", "clipgo convert"}},
		"folder":        {dir, []string{dir, "folder", "clipgo convert"}},
		"text":          {write("text.gguf", []byte("hello, world")), []string{"text.gguf", "GGUF", "clipgo convert"}},
		"empty":         {write("empty.gguf", nil), []string{"empty.gguf", "clipgo convert"}},
		"cut in tensor": {write("cut.gguf", data[:len(data)-1000]), []string{"cut.gguf", "the file ends", "copy the file again"}},
		"cut in header": {write("head.gguf", data[:5000]), []string{"head.gguf", "at byte", "copy the file again"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			clip(t, "classify", "-m", c.path, "-l", "a", demo("owl.png")).refused(t, c.want...)
			clip(t, "embed", "-m", c.path, "--text", "a").refused(t, c.want...)
			clip(t, "tokenize", "-m", c.path, "a").refused(t, c.want...)
			clip(t, "preprocess", "-m", c.path, demo("owl.png"), "-o", filepath.Join(dir, "x.npy")).refused(t, c.want...)
			t.Setenv("CLIPGO_MODEL", c.path)
			clip(t, "classify", "-l", "a", demo("owl.png")).refused(t, c.want...)
		})
	}
	t.Run("no CLIP", func(t *testing.T) {
		path := testutil.Shared(t, "data", "gguf", "ggml-vocab-mpt.gguf")
		clip(t, "classify", "-m", path, "-l", "a", demo("owl.png")).refused(t, path, `"mpt"`, `expected "clip"`, "clipgo convert")
		clip(t, "inspect", "--program", path).refused(t, `"mpt"`)
	})
}

func TestDemoModelIsAnnounced(t *testing.T) {
	t.Setenv("CLIPGO_MODEL", "")
	const said = "using the demo model"
	r := clip(t, "classify", "-l", "owl", demo("owl.png"))
	r.done(t)
	require.Contains(t, r.err, said)
	require.NotContains(t, clip(t, "classify", model, "-l", "owl", demo("owl.png")).err, said)
	t.Setenv("CLIPGO_MODEL", demo("demo.gguf"))
	require.Empty(t, clip(t, "classify", "-l", "owl", demo("owl.png")).err)
	// The flag comes before the variable.
	t.Setenv("CLIPGO_MODEL", "/nonexistent.gguf")
	clip(t, "classify", model, "-l", "owl", demo("owl.png")).done(t)
}

func TestMissingEngine(t *testing.T) {
	args := []string{"clipgo", "tokenize", model, "a"}
	var out, err bytes.Buffer
	t.Setenv("CLIPGO_LIBRARY", "/nonexistent/libclipgo.so")
	r := result{run(t.Context(), args, streams{strings.NewReader(""), &out, &err}), out.String(), err.String()}
	r.refused(t, "$CLIPGO_LIBRARY", "/nonexistent/libclipgo.so", "no such file", "make build", "--interpreter")

	out.Reset()
	err.Reset()
	r = result{run(t.Context(), []string{"clipgo", "version"}, streams{strings.NewReader(""), &out, &err}), "", err.String()}
	r.refused(t, "$CLIPGO_LIBRARY")

	t.Run("asked for none", func(t *testing.T) {
		var out, err bytes.Buffer
		code := run(t.Context(), append(args, "--interpreter"), streams{strings.NewReader(""), &out, &err})
		require.Zero(t, code, err.String())
		require.Empty(t, err.String())
	})
	t.Run("none named", func(t *testing.T) {
		t.Setenv("CLIPGO_LIBRARY", "")
		var out, err bytes.Buffer
		code := run(t.Context(), args, streams{strings.NewReader(""), &out, &err})
		require.Zero(t, code, err.String())
		if err.Len() > 0 { // else this system has one installed
			require.Contains(t, err.String(), "clipgo: warning: no native engine, computing slowly in Go: ")
		}
	})
}

func TestVersion(t *testing.T) {
	out := clip(t, "version").done(t)
	require.Regexp(t, `^clipgo \S+\ngo\S+ \S+/\S+\nengine: .*libclipgo\.\w+ \(\$CLIPGO_LIBRARY\), instruction sets \[.*scalar\]\nJPEG: .+\n$`, out)
	require.Contains(t, clip(t, "--version").done(t), "clipgo version ")
}

// TestFlagsAnywhere mixes flags and arguments.
func TestFlagsAnywhere(t *testing.T) {
	owl := demo("owl.png")
	want := clip(t, "classify", model, "-l", "owl", "-l", "car", "--json", owl).done(t)
	require.NotEmpty(t, want)
	for _, args := range [][]string{
		{"classify", owl, model, "-l", "owl", "-l", "car", "--json"},
		{"classify", "-l", "owl", owl, "--json", "--label", "car", model},
		{"classify", "-l=owl", "--label=car", "-json", owl, "-m", demo("demo.gguf")},
		{"classify", model, "--label", "owl", "--json", "-l", "car", "--", owl},
	} {
		require.Equal(t, want, clip(t, args...).done(t), args)
	}
	t.Run("after two dashes all are arguments", func(t *testing.T) {
		dir := t.TempDir()
		data, err := os.ReadFile(owl)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "--top"), data, 0o600))
		t.Chdir(dir)
		require.Equal(t, want, clip(t, "classify", model, "-l", "owl", "-l", "car", "--json", "--", "--top").done(t))
	})
	t.Run("a value may begin with a dash", func(t *testing.T) {
		require.Contains(t, clip(t, "classify", model, "-l", "--", "-l", "-v", "--json", owl).done(t), `"label":"-v"`)
	})
}

// processorsSeen tells how many Go may use at a time when something is read.
type processorsSeen struct{ n int }

func (p *processorsSeen) Read([]byte) (int, error) {
	p.n = runtime.GOMAXPROCS(0)
	return 0, io.EOF
}

// TestThreads wants --threads to hold for decoding as for the engine, and to end with the command.
func TestThreads(t *testing.T) {
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for threads, want := range map[string]int{"1": 1, "2": 2, "0": 3, "5": 3} {
		var in processorsSeen
		args := []string{"clipgo", "classify", model, "-l", "owl", "--threads", threads, "-"}
		require.Equal(t, exitUsage, run(t.Context(), args, streams{&in, io.Discard, io.Discard}), "an empty picture")
		require.Equal(t, want, in.n, "--threads %s", threads)
		require.Equal(t, 3, runtime.GOMAXPROCS(0))
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// TestBrokenPipe wants the end of a reader to be no error, in every form.
func TestBrokenPipe(t *testing.T) {
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	owl := demo("owl.png")
	for _, args := range [][]string{
		{"classify", model, "-l", "owl", owl}, {"classify", model, "-l", "owl", "--json", owl},
		{"classify", model, "-l", "owl", "--jsonl", owl, owl}, {"classify", model, "-l", "owl", "--csv", owl, owl},
		{"embed", model, "--text", "owl"}, {"tokenize", model, "owl"}, {"inspect", demo("demo.gguf")},
	} {
		var err bytes.Buffer
		require.Zero(t, run(t.Context(), append([]string{"clipgo"}, args...), streams{strings.NewReader(""), brokenPipe{}, &err}), args)
		require.Empty(t, err.String(), args)
	}
}

func TestInterrupt(t *testing.T) {
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	for name, args := range map[string][]string{
		"before the work":            {"clipgo", "classify", model, "-l", "owl", demo("owl.png")},
		"at the texts":               {"clipgo", "embed", model, "--text", "owl"},
		"waiting for standard input": {"clipgo", "classify", model, "-l", "owl", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			stdin, typist := io.Pipe()
			defer typist.Close()
			if strings.HasPrefix(name, "waiting") {
				time.AfterFunc(50*time.Millisecond, cancel)
			} else {
				cancel()
			}
			var out, err bytes.Buffer
			code := run(ctx, args, streams{stdin, &out, &err})
			result{code, out.String(), err.String()}.refused(t, "clipgo: interrupted")
		})
	}
}

// program starts the test binary as clipgo.
func program(t *testing.T, args ...string) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "CLIPGO_TEST_AS_PROGRAM=1", "CLIPGO_LIBRARY="+testutil.Engine(t))
	return cmd
}

// TestProcess checks what depends on the system: signals, and a pipe that its reader closes.
func TestProcess(t *testing.T) {
	t.Run("answers and nothing else on stdout", func(t *testing.T) {
		out, err := program(t, "classify", "-l", "owl", "--json", demo("owl.png")).Output()
		require.NoError(t, err)
		require.Equal(t, `[{"score":1,"label":"owl"}]`+"\n", string(out))
	})
	t.Run("closed pipe", func(t *testing.T) {
		cmd := program(t, "inspect", "--tensors", "--program", demo("demo.gguf"))
		r, w, err := os.Pipe()
		require.NoError(t, err)
		cmd.Stdout = w
		var said bytes.Buffer
		cmd.Stderr = &said
		require.NoError(t, r.Close())
		require.NoError(t, cmd.Start())
		require.NoError(t, w.Close())
		require.NoError(t, cmd.Wait())
		require.Empty(t, said.String())
	})
	t.Run("interrupt", func(t *testing.T) {
		cmd := program(t, "classify", "-l", "owl", "-")
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		defer stdin.Close()
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// Once it speaks of the demo model, signals are handled.
		first := make([]byte, 1)
		_, err = stderr.Read(first)
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		rest, err := io.ReadAll(stderr)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(rest, []byte("clipgo: interrupted\n")), "%s", rest)
		require.Error(t, cmd.Wait())
		require.Equal(t, exitUsage, cmd.ProcessState.ExitCode())
	})
}
