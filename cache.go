package clipgo

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/clipgo/clipgo/internal/diskcache"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/program"
)

// WithCache keeps in the folder dir what would be made again at the next start: the embeddings of a classifier's labels,
// and the weights of a tower in the order in which products read them, written when the tower is released or the model
// closed. What is found there is what would be made, bit for bit: an entry counts for one state of the model's file, of the
// executable and of the native library, for one instruction set and number of threads. A damaged entry is made anew. What can't
// be written is left unwritten. The folder is bounded in size, and any number of processes may use it.
func WithCache(dir string) Option { return func(o *options) { o.cache = dir } }

const (
	labelBytes = 64 << 20 // of all labels in a folder: 30,000 of 512 dimensions
	panelBytes = 1 << 30  // of all packed weights
)

// leastPanels is the size of packed weights that are worth a file: fewer are packed in a few milliseconds.
var leastPanels = 8 << 20

// cacheEntry is where something made of a model is kept.
type cacheEntry struct {
	model  *Model
	folder diskcache.Cache
	key    diskcache.Key
	stamps string
}

// entry returns where something is kept that depends on the model and on parts; ok is false where it is not.
func (m *Model) entry(kind string, maxBytes int64, parts ...string) (e cacheEntry, ok bool) {
	if m.options.cache == "" {
		return e, false
	}
	e = cacheEntry{model: m, folder: diskcache.Cache{Dir: filepath.Join(m.options.cache, kind), MaxBytes: maxBytes}}
	if e.stamps, ok = m.stamps(m.file.Info()); !ok {
		return e, false
	}
	e.key = diskcache.KeyOf(append([]string{kind, e.stamps, m.numbers()}, parts...)...)
	return e, true
}

// labelEntry returns where the embeddings of labels are kept.
func (m *Model) labelEntry(labels, templates []string) (e labelEntry, ok bool) {
	if m.enter() != nil {
		return e, false
	}
	defer m.leave()
	parts := []string{string(m.compat()), fmt.Sprint(len(labels))}
	parts = append(parts, labels...)
	e.cacheEntry, ok = m.entry("labels", labelBytes, append(parts, templates...)...)
	return e, ok
}

// panels returns where the packed weights of a program are kept; nil where they are not.
func (m *Model) panels(p *program.Program) engine.Panels {
	tensors := fmt.Sprintf("%+v", p.Tensors)
	e, ok := m.entry("packed", panelBytes, tensors, string(p.EncodeValues()), string(p.EncodeOps()))
	if !ok || !m.engine.Native {
		return nil
	}
	return panelEntry{e}
}

// numbers says how texts are read and the engine computes, as far as that may show in a result's last bits.
func (m *Model) numbers() string {
	return fmt.Sprint(m.compat(), m.engine.Native, m.engine.ISA, m.engine.Threads, m.engine.Activations)
}

// stamps tells apart the states of all files that an embedding depends on: the executable, the native library, and the
// model's file, of which st is given. ok is false where they can't be told apart.
func (m *Model) stamps(st fs.FileInfo) (stamps string, ok bool) {
	var files []fs.FileInfo
	executable, err := diskcache.Executable()
	files = append(files, executable)
	if m.engine.Native && err == nil {
		var library fs.FileInfo
		library, err = os.Stat(m.engine.Library)
		files = append(files, library)
	}
	var sample []byte
	if !m.options.embedded && err == nil {
		sample, err = m.sample()
		files = append(files, st)
	}
	if err != nil {
		return "", false
	}
	now := time.Now()
	for _, st := range files {
		stamp, ok := diskcache.Stamp(st, now)
		if !ok {
			return "", false
		}
		stamps += stamp + "\n"
	}
	return stamps + string(sample), true
}

// sample hashes a few bytes of every tensor: where times of files are not to be trusted, as on some network file systems, it
// still tells models apart.
func (m *Model) sample() ([]byte, error) {
	h := sha256.New()
	var some [64]byte
	for _, t := range m.file.Tensors() {
		r, err := m.file.TensorReader(t.Name)
		if err != nil {
			return nil, err
		}
		n, err := r.ReadAt(some[:], t.Bytes/2/int64(len(some))*int64(len(some)))
		if err != nil && err != io.EOF {
			return nil, err
		}
		h.Write(some[:n])
	}
	return h.Sum(nil), nil
}

// write keeps data; that it can't be done is no error. Nothing is kept unless the files still are what they were when the entry
// was looked for, and thus were while data was made.
func (e cacheEntry) write(data []byte) {
	st, err := e.model.file.Stat()
	if err != nil {
		return
	}
	if stamps, ok := e.model.stamps(st); ok && stamps == e.stamps {
		_ = e.folder.Write(e.key, data)
	}
}

type labelEntry struct{ cacheEntry }

// read returns the embeddings of n labels.
func (e labelEntry) read(n int) (embeddings [][]float32, found bool) {
	data, found := e.folder.Read(e.key)
	dimension := e.model.dimension()
	if !found || len(data) != 4*n*dimension {
		return nil, false
	}
	values := make([]float32, n*dimension)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return split(values, n), true
}

func (e labelEntry) write(embeddings [][]float32) {
	var data []byte
	for _, row := range embeddings {
		for _, x := range row {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	if e.model.enter() == nil {
		e.cacheEntry.write(data)
		e.model.leave()
	}
}

// panelEntry is an engine.Panels.
type panelEntry struct{ cacheEntry }

func (e panelEntry) Load() (panels []byte, mapping io.Closer) {
	m, found := e.folder.Map(e.key)
	if !found {
		return nil, nil
	}
	return m.Bytes(), m
}

func (e panelEntry) Save(panels []byte) {
	if len(panels) >= leastPanels {
		e.write(panels)
	}
}
