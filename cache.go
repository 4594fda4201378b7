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
)

// WithCache keeps in the folder dir what would be computed again at the next start: the embeddings of a classifier's labels. What
// is found there is what would be computed, bit for bit: an entry counts for one state of the model's file, of the
// executable and of the native library, for one instruction set and number of threads. A damaged entry is computed anew. What
// can't be written is left unwritten. The folder is bounded in size, and any number of processes may use it.
func WithCache(dir string) Option { return func(o *options) { o.cache = dir } }

const labelBytes = 64 << 20 // of all labels in a folder: 30,000 of 512 dimensions

// cacheEntry is where something computed with a model is kept.
type cacheEntry struct {
	model  *Model
	folder diskcache.Cache
	key    diskcache.Key
	stamps string
}

// labelEntry returns where the embeddings of labels are kept; ok is false where they are not.
func (m *Model) labelEntry(labels, templates []string) (e cacheEntry, ok bool) {
	if m.options.cache == "" || m.enter() != nil {
		return e, false
	}
	defer m.leave()
	e = cacheEntry{model: m, folder: diskcache.Cache{Dir: filepath.Join(m.options.cache, "labels"), MaxBytes: labelBytes}}
	if e.stamps, ok = m.stamps(m.file.Info()); !ok {
		return e, false
	}
	parts := []string{"labels", e.stamps, m.numbers(), fmt.Sprint(len(labels))}
	parts = append(parts, labels...)
	e.key = diskcache.KeyOf(append(parts, templates...)...)
	return e, true
}

// numbers says how texts are read and the engine computes, as far as that may show in a result's last bits.
func (m *Model) numbers() string {
	return fmt.Sprint(m.options.compat, m.engine.Native, m.engine.ISA, m.engine.Threads, m.engine.Activations)
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

// unchanged reports whether the files still are what they were when the entry was looked for, and thus were while what it
// shall hold was computed.
func (e cacheEntry) unchanged() bool {
	if e.model.enter() != nil {
		return false
	}
	defer e.model.leave()
	st, err := e.model.file.Stat()
	if err != nil {
		return false
	}
	stamps, ok := e.model.stamps(st)
	return ok && stamps == e.stamps
}

// read returns n embeddings.
func (e cacheEntry) read(n int) (embeddings [][]float32, found bool) {
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

// write keeps embeddings; that it can't be done is no error.
func (e cacheEntry) write(embeddings [][]float32) {
	var data []byte
	for _, row := range embeddings {
		for _, x := range row {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	if e.unchanged() {
		_ = e.folder.Write(e.key, data)
	}
}
