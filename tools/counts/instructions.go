package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
)

// What an instruction occupies.
const (
	simd = iota // vectors and floating point
	load        // and prefetches
	store
	other
	kinds
)

// counts are instructions by what they occupy and by name.
type counts struct {
	kinds    [kinds]int
	names    map[string]int
	executed map[*counts]int // of a window: its blocks, until they are settled
}

func newCounts() *counts {
	return &counts{names: map[string]int{}, executed: map[*counts]int{}}
}

func (c *counts) add(code uint32, name string) {
	c.kinds[kindOf(code)]++
	c.names[nameOf(code, name)]++
}

func (c *counts) all() int {
	n := 0
	for _, k := range c.kinds {
		n += k
	}
	return n
}

// settle adds up the blocks that were executed.
func (c *counts) settle() {
	for block, n := range c.executed {
		for k := range c.kinds {
			c.kinds[k] += n * block.kinds[k]
		}
		for name, times := range block.names {
			c.names[name] += n * times
		}
	}
	c.executed = nil
}

func (c *counts) without(d *counts) *counts {
	r := &counts{names: maps.Clone(c.names)}
	for k := range c.kinds {
		r.kinds[k] = c.kinds[k] - d.kinds[k]
	}
	for name, n := range d.names {
		r.names[name] -= n
	}
	return r
}

// products are the instructions that products of this arithmetic are made of.
func (c *counts) products(arithmetic string) int {
	n := 0
	for _, name := range map[string][]string{
		"int8": {"smmla", "sdot", "smull", "smull2", "smlal", "smlal2", "sadalp", "saddlp"},
		"bf16": {"bfmmla", "bfdot"},
		"f32":  {"fmla"},
	}[arithmetic] {
		n += c.names[name]
	}
	return n
}

func (c *counts) printNames(w io.Writer, work float64) {
	names := slices.SortedFunc(maps.Keys(c.names), func(a, b string) int { return cmp.Compare(c.names[b], c.names[a]) })
	for _, name := range names {
		fmt.Fprintf(w, "%12s %10d %9.3f\n", name, c.names[name], 1000*float64(c.names[name])/work)
	}
}

// kindOf tells by the encoding (Arm ARM, C4.1). A load that repeats or places an element counts as SIMD, since cores do that in
// those units.
func kindOf(code uint32) int {
	loads := code>>22&1 == 1
	switch {
	case code>>25&7 == 7:
		return simd
	case code>>25&5 != 4:
		return other
	case code>>24&0xbf == 0x0d && loads: // one element
		return simd
	case code>>27&7 == 3 && code>>24&1 == 0 && code>>21&1 == 0: // of a literal
		loads = true
	case code>>27&7 == 7 && code>>26&1 == 0: // of one general register: opc is 0 where it stores
		loads = code>>22&3 != 0
	}
	if loads {
		return load
	}
	return store
}

// nameOf names what qemu's disassembler doesn't know.
func nameOf(code uint32, name string) string {
	for _, n := range []struct {
		mask, code uint32
		name       string
	}{
		{0xbfe0fc00, 0x0e809400, "sdot"},
		{0xbfc0f400, 0x0f80e000, "sdot"},
		{0xffe0fc00, 0x4e80a400, "smmla"},
		{0xbfe0fc00, 0x2e40fc00, "bfdot"},
		{0xbfc0f400, 0x0f40f000, "bfdot"},
		{0xffe0fc00, 0x6e40ec00, "bfmmla"},
		{0xfffffc00, 0x0ea16800, "bfcvtn"},
		{0xfffffc00, 0x4ea16800, "bfcvtn2"},
	} {
		if code&n.mask == n.code {
			return n.name
		}
	}
	return name
}
