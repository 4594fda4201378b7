package bindings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// EnvLibrary is the environment variable that names the library file.
const EnvLibrary = "CLIPGO_LIBRARY"

// Attempt is one place where the library was looked for.
type Attempt struct {
	Source string // which step of the search, such as "beside the executable"
	Path   string // "" if the step came to no path
	Err    error
}

// LoadError says that no usable library was found.
type LoadError struct {
	Attempts []Attempt
}

// Error returns one line with every place tried, and why it failed.
func (e *LoadError) Error() string {
	var b strings.Builder
	b.WriteString("load the clipgo engine: ")
	for i, a := range e.Attempts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(a.Source)
		if a.Path != "" {
			b.WriteString(" " + a.Path)
		}
		fmt.Fprintf(&b, ": %s", oneLine(a.Err, a.Path))
	}
	fmt.Fprintf(&b, "; build it with `make build` and name the file in $%s", EnvLibrary)
	return b.String()
}

// Unwrap returns the errors of the attempts.
func (e *LoadError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

// oneLine drops what the line says anyway: the path that the loader's messages start with, and line ends.
func oneLine(err error, path string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file"
	}
	text := err.Error()
	if path != "" {
		text = strings.TrimPrefix(text, path+": ")
	}
	return strings.Join(strings.Fields(text), " ")
}

// LibraryName returns the file name of the library on this system.
func LibraryName() string {
	if runtime.GOOS == "darwin" {
		return "libclipgo.dylib"
	}
	return "libclipgo.so"
}

// Open finds and loads the engine. If path is not empty the library is that file; else if $CLIPGO_LIBRARY is set it is that
// file; else the first that loads of: the library embedded in this binary (build tag clipgo_embed), the one beside the
// executable, the one in ../lib from there, the one that the system's loader finds by name. The working directory is not
// searched. The error is a [*LoadError].
func Open(path string) (*Library, error) {
	if path != "" {
		return try(step{"the path given,", func() (string, error) { return existing(path) }})
	}
	if env := os.Getenv(EnvLibrary); env != "" {
		return try(step{"$" + EnvLibrary, func() (string, error) { return existing(env) }})
	}
	return try(
		step{"embedded in this binary", embeddedFile},
		step{"embedded in this binary, without a file", embeddedMemory},
		step{"beside the executable", func() (string, error) { return fromExecutable(LibraryName()) }},
		step{"in ../lib from the executable", func() (string, error) { return fromExecutable("..", "lib", LibraryName()) }},
		step{"by the system's loader", func() (string, error) { return LibraryName(), nil }},
	)
}

// step is one step of the search. find returns the path to load; with an error the path is only what was looked for.
type step struct {
	source string
	find   func() (path string, err error)
}

// errNotApplicable is returned by steps that have no place in this build or on this system.
var errNotApplicable = errors.New("not in this build")

func try(steps ...step) (*Library, error) {
	failed := &LoadError{}
	for _, s := range steps {
		path, err := s.find()
		if err == nil {
			var l *Library
			if l, err = load(path); err == nil {
				l.source = s.source
				return l, nil
			}
		}
		if !errors.Is(err, errNotApplicable) {
			failed.Attempts = append(failed.Attempts, Attempt{s.source, path, err})
		}
	}
	return nil, failed
}

// existing returns the absolute path of a file: the loader would look for a name without a slash elsewhere.
func existing(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	st, err := os.Stat(abs)
	if err != nil {
		return abs, err
	}
	if st.IsDir() {
		return abs, fmt.Errorf("is a folder, expected the file %s", LibraryName())
	}
	return abs, nil
}

func fromExecutable(elem ...string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return exe, err
	}
	return existing(filepath.Join(append([]string{filepath.Dir(exe)}, elem...)...))
}
