package torchfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

const (
	maxPickleBytes = 32 << 20
	maxOpcodes     = 1 << 20 // bounds the stack and the memo as well; large training checkpoints have 100,000
)

// The values of a pickle are nil, bool, int64, float64, string and those below.
type (
	tuple []any
	list  struct{ items []any }
	dict  struct{ keys, values []any } // an OrderedDict as well
	// bag is an instance of a TorchScript class: attributes under names, and nothing that could run.
	bag    struct{ attributes dict }
	global struct{ module, name string }
	// storage is a flat array of elements, an entry of the archive.
	storage struct {
		key   string
		dtype checkpoint.DType
		n     uint64
	}
	tensor struct {
		storage        storage
		offset         uint64
		shape, strides []uint64
	}
	mark struct{}
)

var (
	orderedDict      = global{"collections", "OrderedDict"}
	rebuildTensor    = global{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = global{"torch._utils", "_rebuild_parameter"}
	torchSize        = global{"torch", "Size"}

	storageTypes = map[global]checkpoint.DType{
		{"torch", "FloatStorage"}:    checkpoint.F32,
		{"torch", "HalfStorage"}:     checkpoint.F16,
		{"torch", "BFloat16Storage"}: checkpoint.BF16,
		{"torch", "DoubleStorage"}:   checkpoint.F64,
		{"torch", "LongStorage"}:     checkpoint.I64,
		{"torch", "IntStorage"}:      checkpoint.I32,
		{"torch", "ShortStorage"}:    checkpoint.I16,
		{"torch", "CharStorage"}:     checkpoint.I8,
		{"torch", "ByteStorage"}:     checkpoint.U8,
		{"torch", "BoolStorage"}:     checkpoint.Bool,
	}
)

// scripted reports whether g is a TorchScript class, a module of the archive's own code, which is never read.
func (g global) scripted() bool {
	return g.module == "__torch__" || strings.HasPrefix(g.module, "__torch__.")
}

// allowed is the whole list of what a pickle may name. A pickle can name anything that Python can import, and REDUCE
// calls it: that is how these files run code.
func (g global) allowed() bool {
	_, ok := storageTypes[g]
	return ok || g == orderedDict || g == rebuildTensor || g == rebuildParameter || g == torchSize || g.scripted()
}

// The opcodes of pickle protocol 2 that torch.save writes.
const (
	opMark       = '('
	opStop       = '.'
	opBinFloat   = 'G'
	opBinInt     = 'J'
	opBinInt1    = 'K'
	opBinInt2    = 'M'
	opNone       = 'N'
	opBinPersID  = 'Q'
	opReduce     = 'R'
	opBinUnicode = 'X'
	opEmptyList  = ']'
	opAppend     = 'a'
	opBuild      = 'b'
	opGlobal     = 'c'
	opAppends    = 'e'
	opBinGet     = 'h'
	opLongBinGet = 'j'
	opBinPut     = 'q'
	opLongBinPut = 'r'
	opSetItem    = 's'
	opTuple      = 't'
	opSetItems   = 'u'
	opEmptyTuple = ')'
	opEmptyDict  = '}'
	opProto      = 0x80
	opNewObj     = 0x81
	opTuple1     = 0x85
	opTuple2     = 0x86
	opTuple3     = 0x87
	opNewTrue    = 0x88
	opNewFalse   = 0x89
	opLong1      = 0x8a
)

// machine runs a pickle. Nothing is imported and nothing called: the few callables that state dicts need are cases of
// reduce.
type machine struct {
	code  []byte
	at    int
	stack []any
	memo  map[uint32]any
}

// unpickle returns the value that a pickle describes. Its errors say at which byte.
func unpickle(code []byte) (any, error) {
	m := &machine{code: code, memo: map[uint32]any{}}
	for n := 0; ; n++ {
		start := m.at
		op, err := m.bytes(1)
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", start, err)
		}
		if n == maxOpcodes {
			return nil, fmt.Errorf("at byte %d: more than %d opcodes", start, maxOpcodes)
		}
		if op[0] == opStop {
			v, err := m.pop()
			if err == nil && len(m.stack) > 0 {
				err = fmt.Errorf("%d values left over at the end", len(m.stack))
			}
			if err != nil {
				return nil, fmt.Errorf("at byte %d: %w", start, err)
			}
			return v, nil
		}
		if err := m.step(op[0]); err != nil {
			return nil, fmt.Errorf("at byte %d: %w", start, err)
		}
	}
}

func (m *machine) bytes(n uint64) ([]byte, error) {
	if left := len(m.code) - m.at; n > uint64(left) {
		return nil, fmt.Errorf("needs %d bytes, but only %d are left: truncated", n, left)
	}
	b := m.code[m.at : m.at+int(n)]
	m.at += int(n)
	return b, nil
}

// uint reads a little-endian number of 1, 2 or 4 bytes.
func (m *machine) uint(size uint64) (uint32, error) {
	b, err := m.bytes(size)
	if err != nil {
		return 0, err
	}
	var wide [4]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint32(wide[:]), nil
}

func (m *machine) line() (string, error) {
	const longest = 1000
	rest := m.code[m.at:]
	rest = rest[:min(len(rest), longest)]
	end := strings.IndexByte(string(rest), '\n')
	if end < 0 {
		return "", fmt.Errorf("no line ends within %d bytes", len(rest))
	}
	m.at += end + 1
	return string(rest[:end]), nil
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, fmt.Errorf("the stack is empty")
	}
	v := m.stack[len(m.stack)-1]
	if _, ok := v.(mark); ok {
		return nil, fmt.Errorf("a mark is where a value should be")
	}
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popTop pops a value of type T.
func popTop[T any](m *machine) (T, error) {
	var none T
	v, err := m.pop()
	if err != nil {
		return none, err
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("found %s on the stack, expected %s", describe(v), describe(none))
	}
	return t, nil
}

// popMark pops everything above the topmost mark, and the mark.
func (m *machine) popMark() (tuple, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			items := append(tuple{}, m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, fmt.Errorf("no mark on the stack")
}

func (m *machine) popTuple(n int) error {
	items := make(tuple, n)
	for i := n - 1; i >= 0; i-- {
		v, err := m.pop()
		if err != nil {
			return err
		}
		items[i] = v
	}
	return m.push(items)
}

// step runs one opcode but STOP.
func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		b, err := m.bytes(1)
		if err == nil && b[0] != 2 {
			err = fmt.Errorf("pickle protocol %d, expected 2, which is what torch.save writes", b[0])
		}
		return err
	case opMark:
		return m.push(mark{})
	case opNone:
		return m.push(nil)
	case opNewTrue:
		return m.push(true)
	case opNewFalse:
		return m.push(false)
	case opBinInt, opBinInt1, opBinInt2:
		return m.number(op)
	case opLong1:
		return m.long()
	case opBinFloat:
		b, err := m.bytes(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case opBinUnicode:
		n, err := m.uint(4)
		if err != nil {
			return err
		}
		b, err := m.bytes(uint64(n))
		if err != nil {
			return err
		}
		return m.push(string(b))
	case opEmptyTuple:
		return m.push(tuple{})
	case opEmptyList:
		return m.push(&list{})
	case opEmptyDict:
		return m.push(&dict{})
	case opTuple:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.push(items)
	case opTuple1:
		return m.popTuple(1)
	case opTuple2:
		return m.popTuple(2)
	case opTuple3:
		return m.popTuple(3)
	case opAppend, opAppends:
		return m.append(op == opAppends)
	case opSetItem, opSetItems:
		return m.setItems(op == opSetItems)
	case opBinPut, opLongBinPut:
		return m.put(op == opLongBinPut)
	case opBinGet, opLongBinGet:
		return m.get(op == opLongBinGet)
	case opGlobal:
		return m.global()
	case opBinPersID:
		return m.persistent()
	case opReduce:
		return m.reduce()
	case opNewObj:
		return m.newObject()
	case opBuild:
		return m.build()
	}
	return fmt.Errorf("opcode %#02x is none that a state dict needs", op)
}

func (m *machine) number(op byte) error {
	size := map[byte]uint64{opBinInt: 4, opBinInt1: 1, opBinInt2: 2}[op]
	n, err := m.uint(size)
	if err != nil {
		return err
	}
	if op == opBinInt { // the only signed one
		return m.push(int64(int32(n)))
	}
	return m.push(int64(n))
}

// long reads a little-endian two's complement number.
func (m *machine) long() error {
	n, err := m.uint(1)
	if err != nil {
		return err
	}
	b, err := m.bytes(uint64(n))
	if err != nil {
		return err
	}
	if n > 8 {
		return fmt.Errorf("an integer of %d bytes, expected 8 at most", n)
	}
	var wide [8]byte
	if n > 0 && b[n-1]&0x80 != 0 {
		wide = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	copy(wide[:], b)
	return m.push(int64(binary.LittleEndian.Uint64(wide[:])))
}

func (m *machine) append(many bool) error {
	items, err := m.operands(many, 1)
	if err != nil {
		return err
	}
	l, err := popTop[*list](m)
	if err != nil {
		return err
	}
	l.items = append(l.items, items...)
	return m.push(l)
}

func (m *machine) setItems(many bool) error {
	items, err := m.operands(many, 2)
	if err != nil {
		return err
	}
	d, err := popTop[*dict](m)
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return fmt.Errorf("a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys = append(d.keys, items[i])
		d.values = append(d.values, items[i+1])
	}
	return m.push(d)
}

// operands pops everything above the mark, or n values.
func (m *machine) operands(many bool, n int) (tuple, error) {
	if many {
		return m.popMark()
	}
	if err := m.popTuple(n); err != nil {
		return nil, err
	}
	return popTop[tuple](m)
}

func (m *machine) slot(long bool) (uint32, error) {
	if long {
		return m.uint(4)
	}
	return m.uint(1)
}

func (m *machine) put(long bool) error {
	i, err := m.slot(long)
	if err != nil {
		return err
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	m.memo[i] = v
	return m.push(v)
}

func (m *machine) get(long bool) error {
	i, err := m.slot(long)
	if err != nil {
		return err
	}
	v, ok := m.memo[i]
	if !ok {
		return fmt.Errorf("memo has no entry %d", i)
	}
	return m.push(v)
}

func (m *machine) global() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	g := global{module, name}
	if !g.allowed() {
		return fmt.Errorf("refused: it wants to import %.80q from %.80q, and a state dict needs no such thing; save the state dict alone, best as safetensors", name, module)
	}
	return m.push(g)
}

// persistent makes a storage of ("storage", type, key, location, number of elements).
func (m *machine) persistent() error {
	id, err := popTop[tuple](m)
	if err != nil {
		return err
	}
	if len(id) != 5 || id[0] != any("storage") {
		return fmt.Errorf("a persistent id of %d items, expected (\"storage\", type, key, location, elements)", len(id))
	}
	typ, ok1 := id[1].(global)
	key, ok2 := id[2].(string)
	n, ok3 := id[4].(int64)
	dtype, ok4 := storageTypes[typ]
	if !ok1 || !ok2 || !ok3 || !ok4 || n < 0 {
		return fmt.Errorf("a storage with a wrong type, key or number of elements")
	}
	return m.push(storage{key, dtype, uint64(n)})
}

// reduce does what calling one of the allowed callables would.
func (m *machine) reduce() error {
	args, err := popTop[tuple](m)
	if err != nil {
		return err
	}
	callee, err := popTop[global](m)
	if err != nil {
		return err
	}
	switch {
	case callee == orderedDict && len(args) == 0:
		return m.push(&dict{})
	case callee == torchSize && len(args) == 1:
		if size, ok := args[0].(tuple); ok {
			return m.push(size)
		}
	case callee == rebuildTensor && len(args) >= 4:
		t, err := rebuild(args)
		if err != nil {
			return err
		}
		return m.push(t)
	case callee == rebuildParameter && len(args) >= 1:
		if t, ok := args[0].(tensor); ok {
			return m.push(t)
		}
	}
	return fmt.Errorf("%s.%s with %d arguments that it can't have", callee.module, callee.name, len(args))
}

// rebuild makes a tensor of (storage, offset, shape, strides, ...).
func rebuild(args tuple) (tensor, error) {
	s, ok1 := args[0].(storage)
	offset, ok2 := args[1].(int64)
	shape, ok3 := sizes(args[2])
	strides, ok4 := sizes(args[3])
	if !ok1 || !ok2 || offset < 0 {
		return tensor{}, fmt.Errorf("a tensor without a storage or with a wrong offset")
	}
	if !ok3 || !ok4 {
		return tensor{}, fmt.Errorf("a tensor whose shape or strides are no tuple of at most %d whole numbers", maxDims)
	}
	return tensor{s, uint64(offset), shape, strides}, nil
}

func sizes(v any) ([]uint64, bool) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxDims {
		return nil, false
	}
	list := make([]uint64, len(t))
	for i := range t {
		n, ok := t[i].(int64)
		if !ok || n < 0 {
			return nil, false
		}
		list[i] = uint64(n)
	}
	return list, true
}

func (m *machine) newObject() error {
	args, err := popTop[tuple](m)
	if err != nil {
		return err
	}
	class, err := popTop[global](m)
	if err != nil {
		return err
	}
	if !class.scripted() || len(args) != 0 {
		return fmt.Errorf("a new %s.%s, expected a TorchScript module without arguments", class.module, class.name)
	}
	return m.push(&bag{})
}

// build gives an object its state: a bag its attributes. An OrderedDict's are its _metadata, of no use here.
func (m *machine) build() error {
	state, err := popTop[*dict](m)
	if err != nil {
		return err
	}
	object, err := m.pop()
	if err != nil {
		return err
	}
	switch object := object.(type) {
	case *bag:
		object.attributes = *state
	case *dict:
	default:
		return fmt.Errorf("state for %s, which has none", describe(object))
	}
	return m.push(object)
}

func describe(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a string"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *bag:
		return "a module"
	case global:
		return "a global"
	case storage:
		return "a storage"
	case tensor:
		return "a tensor"
	}
	return "a mark"
}
