package quantize

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"

	"github.com/clipgo/clipgo/gguf"
)

// An Imatrix is an importance matrix: for each weight tensor, the mean square of every column's input, gathered while
// the model runs over sample data. An error in a column counts as much.
type Imatrix struct {
	Datasets  []string // what the model was run over
	Chunks    uint32   // in how many pieces
	ChunkSize uint32   // how many rows, at most, a piece gave a tensor
	entries   map[string]*imatrixEntry
}

// imatrixEntry holds what a file holds: the sum over rows of each column's square, and the number of rows.
type imatrixEntry struct {
	sums  []float64
	count float64
}

// NewImatrix returns an importance matrix without entries.
func NewImatrix() *Imatrix { return &Imatrix{entries: map[string]*imatrixEntry{}} }

// Len returns the number of tensors that have an entry.
func (m *Imatrix) Len() int { return len(m.entries) }

// Names returns the names of the tensors that have an entry, sorted.
func (m *Imatrix) Names() []string {
	var names []string
	for name := range m.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Add counts x [rows, cols], an input of the weight tensor name.
func (m *Imatrix) Add(name string, x []float32, cols int) error {
	if cols <= 0 || len(x)%cols != 0 {
		return fmt.Errorf("imatrix: tensor %q: %d elements are not in rows of %d", name, len(x), cols)
	}
	e := m.entries[name]
	if e == nil {
		e = &imatrixEntry{sums: make([]float64, cols)}
		m.entries[name] = e
	}
	if len(e.sums) != cols {
		return fmt.Errorf("imatrix: tensor %q: rows of %d elements, earlier ones had %d", name, cols, len(e.sums))
	}
	for ; len(x) > 0; x = x[cols:] {
		for c, v := range x[:cols] {
			e.sums[c] += float64(v) * float64(v)
		}
		e.count++
	}
	return nil
}

// Weights returns a weight for each of the cols columns of the tensor, or nil where it has no entry, or one of zeros. Columns
// that were never active get a little weight too: a block of nothing but such columns would otherwise be lost.
func (m *Imatrix) Weights(name string, cols int) ([]float32, error) {
	e := m.entries[name]
	if e == nil {
		return nil, nil
	}
	if len(e.sums) != cols {
		return nil, fmt.Errorf("imatrix: entry %q has %d columns, the tensor has %d: it was made with another model", name, len(e.sums), cols)
	}
	count := e.count
	if count == 0 {
		count = 1
	}
	var mean float64
	for _, s := range e.sums {
		mean += s / count / float64(cols)
	}
	if mean == 0 {
		return nil, nil
	}
	// Only proportions matter, so weights of any usual size can stay what llama.cpp makes of them, to the bit. Others
	// would leave the range of the codecs' float32.
	unit := 1.0
	if mean < 1e-10 || mean > 1e10 {
		unit = mean
	}
	const least = 1e-6 // of the mean
	weights := make([]float32, cols)
	for c, s := range e.sums {
		w := float32(s) / float32(count)
		if unit != 1 {
			w = float32(s / count / unit)
		}
		weights[c] = max(w, float32(mean/unit*least))
	}
	return weights, nil
}

const (
	sumSuffix   = ".in_sum2"
	countSuffix = ".counts"
)

// WriteFile writes the importance matrix as llama.cpp does: a GGUF file with NAME.in_sum2 [cols] and NAME.counts [1] for
// each tensor NAME.
func (m *Imatrix) WriteFile(path string) error {
	w := gguf.NewWriter()
	datasets := m.Datasets
	if datasets == nil {
		datasets = []string{}
	}
	for _, kv := range []struct {
		key   string
		value any
	}{
		{"general.type", "imatrix"},
		{"imatrix.datasets", datasets},
		{"imatrix.chunk_count", m.Chunks},
		{"imatrix.chunk_size", m.ChunkSize},
	} {
		if err := w.Set(kv.key, kv.value); err != nil {
			return err
		}
	}
	data := map[string][]float32{}
	for _, name := range m.Names() {
		e := m.entries[name]
		sums := make([]float32, len(e.sums))
		for c, s := range e.sums {
			sums[c] = float32(s)
		}
		if err := w.AddTensor(name+sumSuffix, gguf.F32, []uint64{uint64(len(sums)), 1}); err != nil {
			return err
		}
		if err := w.AddTensor(name+countSuffix, gguf.F32, []uint64{1, 1}); err != nil {
			return err
		}
		data[name+sumSuffix], data[name+countSuffix] = sums, []float32{float32(e.count)}
	}
	return w.WriteFile(path, func(t gguf.TensorInfo, w io.Writer) error {
		b := make([]byte, t.Bytes)
		encodeF32(b, data[t.Name], nil)
		_, err := w.Write(b)
		return err
	})
}

// maxImatrix bounds the size of a file: a hundred bytes for every thousand weights of a big model.
const maxImatrix = 256 << 20

// ReadImatrix reads an importance matrix, as GGUF or in llama.cpp's older format.
func ReadImatrix(path string) (*Imatrix, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxImatrix {
		return nil, fmt.Errorf("%s: %s of %d bytes is no importance matrix, expected a file of at most %d", path, st.Mode().Type(), st.Size(), maxImatrix)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readImatrix(file, st.Size(), path)
}

func readImatrix(r io.ReaderAt, size int64, name string) (*Imatrix, error) {
	var magic [4]byte
	if n, err := r.ReadAt(magic[:], 0); n < len(magic) {
		return nil, fmt.Errorf("%s: %d bytes are no importance matrix: %w", name, size, err)
	}
	if string(magic[:]) == "GGUF" {
		f, err := gguf.NewReader(r, size, name)
		if err != nil {
			return nil, err
		}
		return readImatrixGGUF(f)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), data); err != nil {
		return nil, fmt.Errorf("%s: reading: %w", name, err)
	}
	m, err := parseImatrixDat(data)
	if err != nil {
		return nil, fmt.Errorf("%s: as an importance matrix of the older format (it isn't GGUF): %w", name, err)
	}
	return m, nil
}

func readImatrixGGUF(f *gguf.File) (*Imatrix, error) {
	m := NewImatrix()
	kind, err := f.StringOr("general.type", "")
	if err != nil {
		return nil, err
	}
	if kind != "imatrix" {
		return nil, fmt.Errorf("%s: general.type is %q, expected \"imatrix\": make one with `clipgo imatrix`", f.Name(), kind)
	}
	if m.Datasets, err = f.StringsOr("imatrix.datasets", nil); err != nil {
		return nil, err
	}
	for key, to := range map[string]*uint32{"imatrix.chunk_count": &m.Chunks, "imatrix.chunk_size": &m.ChunkSize} {
		v, err := f.UintOr(key, 0)
		if err != nil {
			return nil, err
		}
		if v > math.MaxUint32 {
			return nil, fmt.Errorf("%s: key %q is %d, expected a uint32", f.Name(), key, v)
		}
		*to = uint32(v)
	}
	for _, t := range f.Tensors() {
		name, ok := cutSuffix(t.Name, sumSuffix)
		if !ok {
			continue
		}
		sums, err := readFloat32(f, t.Name)
		if err != nil {
			return nil, err
		}
		counts, err := readFloat32(f, name+countSuffix)
		if err != nil {
			return nil, err
		}
		if len(counts) != 1 {
			return nil, fmt.Errorf("%s: tensor %q has %d matrices, expected 1: it was made with another kind of model", f.Name(), t.Name, len(counts))
		}
		if err := m.put(name, sums, float64(counts[0])); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return m, nil
}

func cutSuffix(s, suffix string) (string, bool) {
	if len(s) <= len(suffix) || s[len(s)-len(suffix):] != suffix {
		return "", false
	}
	return s[:len(s)-len(suffix)], true
}

func readFloat32(f *gguf.File, name string) ([]float32, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%s: tensor %q is missing", f.Name(), name)
	}
	if t.Type != gguf.F32 {
		return nil, fmt.Errorf("%s: tensor %q is %s, expected F32", f.Name(), name, t.Type)
	}
	data, err := f.ReadTensor(name)
	if err != nil {
		return nil, err
	}
	x := make([]float32, len(data)/4)
	decodeF32(x, data)
	return x, nil
}

// put checks and stores an entry as read.
func (m *Imatrix) put(name string, sums []float32, count float64) error {
	if _, ok := m.entries[name]; ok {
		return fmt.Errorf("entry %q appears twice", name)
	}
	if count != 0 && !(count >= 1 && count <= math.MaxFloat32) {
		return fmt.Errorf("entry %q: count is %v, expected a number of rows", name, count)
	}
	e := &imatrixEntry{sums: make([]float64, len(sums)), count: count}
	for c, s := range sums {
		if !(s >= 0 && s <= math.MaxFloat32) {
			return fmt.Errorf("entry %q: column %d is %v, expected a finite number not below 0", name, c, s)
		}
		e.sums[c] = float64(s)
	}
	m.entries[name] = e
	return nil
}

// parseImatrixDat reads the older format, all int32 and float32: the number of entries; for each the length of its name,
// the name, calls, the number of columns, and for each the mean square times calls; then chunks, and the length of the
// data set's name, and the name. The last three are missing in the oldest files.
func parseImatrixDat(data []byte) (*Imatrix, error) {
	d := dat{data: data}
	m := NewImatrix()
	n := d.count("number of entries", 4*3)
	for i := 0; i < n && d.err == nil; i++ {
		name := string(d.bytes(d.count(fmt.Sprintf("name of entry %d", i), 1)))
		calls := d.count(fmt.Sprintf("calls of entry %d", i), 0)
		values := d.bytes(4 * d.count(fmt.Sprintf("columns of entry %d", i), 4))
		if d.err != nil {
			break
		}
		if name == "" || len(values) == 0 {
			return nil, fmt.Errorf("entry %d has a name of %d bytes and %d columns, expected some", i, len(name), len(values)/4)
		}
		sums := make([]float32, len(values)/4)
		decodeF32(sums, values)
		if err := m.put(name, sums, float64(calls)); err != nil {
			return nil, err
		}
	}
	if d.err == nil && len(d.data) > 0 {
		m.Chunks = uint32(d.count("chunks", 0))
		m.Datasets = []string{string(d.bytes(d.count("name of the data set", 1)))}
	}
	if d.err == nil && (len(d.data) > 0 || n == 0) {
		return nil, fmt.Errorf("%d entries, and %d bytes after the end", n, len(d.data))
	}
	return m, d.err
}

// dat cuts fields off data. After the first error, which it keeps, everything is empty.
type dat struct {
	data []byte
	err  error
}

// count reads an int32 that counts things of size bytes each, which must all lie in what follows.
func (d *dat) count(field string, size int) int {
	b := d.bytes(4)
	if d.err != nil {
		d.err = fmt.Errorf("%s: %w", field, d.err)
		return 0
	}
	n := int32(binary.LittleEndian.Uint32(b))
	if n < 0 || int64(n)*int64(size) > int64(len(d.data)) {
		d.err = fmt.Errorf("%s is %d, but only %d bytes are left in the file", field, n, len(d.data))
		return 0
	}
	return int(n)
}

func (d *dat) bytes(n int) []byte {
	if d.err == nil && n > len(d.data) {
		d.err = fmt.Errorf("needs %d bytes, but only %d are left in the file", n, len(d.data))
	}
	if d.err != nil {
		return nil
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return slices.Clip(b)
}
