package clipgo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

// ErrClosed is returned by the methods of a closed model.
var ErrClosed = errors.New("the model is closed")

// Model is an open model. It is safe for concurrent use.
type Model struct {
	file    *gguf.File
	arch    *arch.Model
	options options
	engine  *engine.Engine

	image, text   tower
	ask           func(what string, need engine.Need) error // for memory; room
	tokenizerOnce lazy[*tokenizer.Tokenizer]
	pixelsOnce    lazy[preprocess.Spec]
	positionTable lazy[[]float32] // NaFlex: [side*side, width]

	observedImage, observedText lazy[*observed]

	mu     sync.RWMutex // held for reading by calls in progress
	closed bool
}

// lazy is a value made at its first use; an error stays.
type lazy[T any] struct {
	mu    sync.Mutex
	made  bool
	value T
	err   error
}

func (l *lazy[T]) get(make func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.made {
		l.value, l.err = make()
		l.made = true
	}
	return l.value, l.err
}

// forget drops the value, if there is one: the next get makes it again.
func (l *lazy[T]) forget() (made bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var none T
	made, l.made, l.value, l.err = l.made, false, none, nil
	return made
}

type options struct {
	engine      engine.Options
	activations *Activations // nil: the engine's own
	strict      bool
	compat      Compat // "": the layout's own
	warn        func(string)
	cache       string // folder; "": none
	embedded    bool   // the model is part of the executable
	maxMemory   int64  // of the process; 0: no limit
}

// Option changes how a model is opened.
type Option func(*options)

// WithThreads limits the threads that compute; 0 means as many as the processors that this process may use.
func WithThreads(n int) Option { return func(o *options) { o.engine.Threads = n } }

// WithLibrary names the file of the native library, instead of looking for it.
func WithLibrary(path string) Option { return func(o *options) { o.engine.Library = path } }

// WithISA forces an instruction set, such as "avx2" or "scalar".
func WithISA(name string) Option { return func(o *options) { o.engine.ISA = name } }

// WithInterpreter computes in Go, slowly, without the native library.
func WithInterpreter() Option { return func(o *options) { o.engine.Interpreter = true } }

// Activations says how the left sides of matrix products with quantised weights are kept. Where the processor has Intel's
// AMX, bfloat16 stands in for 8 bits: it rounds less.
type Activations = bindings.Activations

// The kinds of activations. Without an option the native engine takes Int8 and the interpreter Float32.
const (
	Float32      Activations = bindings.ActivationsF32
	Int8         Activations = bindings.ActivationsInt8      // a scale per 128 columns; attention may round (docs/ARCHITECTURE.md)
	Int8PerBlock Activations = bindings.ActivationsInt8Block // a scale per 32 columns, attention in float32: finer and slower
	BFloat16     Activations = bindings.ActivationsBF16      // with F16 and BF16 weights; others as Int8
)

// WithActivations chooses how products with quantised weights are computed.
func WithActivations(a Activations) Option { return func(o *options) { o.activations = &a } }

// WithStrict makes a text that is longer than the model's context an error. Without it the text is cut, its end token
// kept, and WithWarnings told.
func WithStrict() Option { return func(o *options) { o.strict = true } }

// WithWarnings gives a function that is told, in one line, what went otherwise than asked: a text that was cut, a native
// library that was not found.
func WithWarnings(warn func(string)) Option { return func(o *options) { o.warn = warn } }

// Open opens a GGUF file that `clipgo convert` or clip.cpp made.
func Open(path string, opts ...Option) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	return open(f, opts)
}

// OpenReader opens a model that lies in r; name stands for it in errors. r is read while the model is open.
func OpenReader(r io.ReaderAt, size int64, name string, opts ...Option) (*Model, error) {
	f, err := gguf.NewReader(r, size, name)
	if err != nil {
		return nil, err
	}
	return open(f, opts)
}

func open(f *gguf.File, opts []Option) (*Model, error) {
	o := options{warn: func(string) {}}
	for _, opt := range opts {
		opt(&o)
	}
	m := &Model{file: f, options: o}
	m.ask = m.room
	var err error
	if m.arch, err = arch.ReadKeys(f); err != nil {
		f.Close()
		return nil, err
	}
	if err := m.applyCompat(); err != nil {
		f.Close()
		return nil, err
	}
	if m.engine, err = openEngine(o); err != nil {
		f.Close()
		return nil, err
	}
	if o.maxMemory > 0 && !m.engine.Native {
		f.Close()
		return nil, errors.New("a limit of memory needs the native engine: the interpreter can't tell beforehand what it will take")
	}
	return m, nil
}

// openEngine falls back to the interpreter where no library is to be found, unless one was named.
func openEngine(o options) (*engine.Engine, error) {
	o.engine.Activations = Int8
	if o.engine.Interpreter {
		o.engine.Activations = Float32
	}
	if o.activations != nil {
		o.engine.Activations = *o.activations
	}
	e, err := engine.Open(o.engine)
	var missing *bindings.LoadError
	if errors.As(err, &missing) {
		if o.engine.Library != "" || os.Getenv(bindings.EnvLibrary) != "" {
			return nil, fmt.Errorf("%w; or do without: WithInterpreter, or --interpreter, computes slowly in Go", err)
		}
		o.warn(fmt.Sprintf("no native engine, computing slowly in Go: %v", err))
		o.engine.Interpreter = true
		return openEngine(o)
	}
	return e, err
}

// enter is called by every method that uses the file or the engine; the caller calls leave after it.
func (m *Model) enter() error {
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return ErrClosed
	}
	return nil
}

func (m *Model) leave() { m.mu.RUnlock() }

// Close waits for the calls in progress and frees the model. Closing twice is harmless.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	_, image := m.image.close()
	_, text := m.text.close()
	return errors.Join(image, text, m.observedImage.value.close(), m.observedText.value.close(),
		m.engine.Close(), m.file.Close())
}

// Info describes a model and what computes it.
type Info struct {
	Name, Family string
	Dimension    int  // of the embeddings
	HasImages    bool // there is an image tower
	HasTexts     bool // there is a text tower
	ImageHeight  int  // of pictures, in pixels
	ImageWidth   int
	Context      int // tokens that a text may have, start and end included
	LogitScale   float32
	LogitBias    float32
	Sigmoid      bool   // each label has a score of its own
	Template     string // the default prompt
	Compat       Compat // whose numbers the model gives
	Native       bool   // false: the interpreter computes
	Library      string // path of the native library
	ISA          string
	Threads      int
}

// Info returns what the file and the engine say.
func (m *Model) Info() Info {
	i := Info{
		Name: m.arch.Name, Family: m.arch.Family,
		LogitScale: m.arch.Scale(), LogitBias: m.arch.LogitBias,
		Sigmoid: m.arch.Score == arch.Sigmoid, Template: m.arch.Template, Compat: m.compat(),
		Native: m.engine.Native, Library: m.engine.Library, ISA: m.engine.ISA, Threads: m.engine.Threads,
	}
	if t := m.arch.Text; t != nil {
		i.HasTexts, i.Context, i.Dimension = true, t.Context, t.Projection
	}
	if v := m.arch.Vision; v != nil {
		i.HasImages, i.Dimension = true, v.Projection
		i.ImageHeight, i.ImageWidth = v.Image.H, v.Image.W
	}
	return i
}

// Programs returns the listings of the programs that compute the towers, "" for a tower that the file doesn't have.
func (m *Model) Programs() (image, text string, err error) {
	if err := m.enter(); err != nil {
		return "", "", err
	}
	defer m.leave()
	if m.arch.Vision != nil {
		p, err := m.arch.ImageProgram(m.file)
		if err != nil {
			return "", "", err
		}
		image = p.String()
	}
	if m.arch.Text != nil {
		p, err := m.arch.TextProgram(m.file)
		if err != nil {
			return "", "", err
		}
		text = p.String()
	}
	return image, text, nil
}

// busy runs f while the model can't be closed.
func (m *Model) busy(ctx context.Context, f func() error) error {
	if err := m.enter(); err != nil {
		return err
	}
	defer m.leave()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return f()
}
