package main

import (
	"strings"
	"testing"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		code uint32
		want int
		text string
	}{
		{0x4e82a420, simd, "smmla v0.4s, v1.16b, v2.16b"},
		{0x1e2828e9, simd, "fadd s9, s7, s8"},
		{0x4d40cbe0, simd, "ld1r {v0.4s}, [sp]"},
		{0x0d4093e0, simd, "ld1 {v0.s}[1], [sp]"},
		{0x4c40a440, load, "ld1 {v0.8h-v1.8h}, [x2]"},
		{0x4c00a440, store, "st1 {v0.8h-v1.8h}, [x2]"},
		{0xad407422, load, "ldp q2, q29, [x1]"},
		{0x6d0f03e1, store, "stp d1, d0, [sp, #0xf0]"},
		{0x3ce76820, load, "ldr q0, [x1, x7]"},
		{0x3d800020, store, "str q0, [x1]"},
		{0xbd402021, load, "ldr s1, [x1, #0x20]"},
		{0xb9800020, load, "ldrsw x0, [x1]"},
		{0xf9400020, load, "ldr x0, [x1]"},
		{0xf9000020, store, "str x0, [x1]"},
		{0x1c000040, load, "ldr s0, #8"},
		{0xf9800062, load, "prfm pldl2keep, [x3]"},
		{0x885ffc20, load, "ldaxr w0, [x1]"},
		{0x889ffc20, store, "stlr w0, [x1]"},
		{0xd1000484, other, "sub x4, x4, #1"},
		{0x54ffff81, other, "b.ne"},
	} {
		if got := kindOf(c.code); got != c.want {
			t.Errorf("%s: got %d, want %d", c.text, got, c.want)
		}
	}
}

const log = `----------------
IN: main
0x5500000714:  d503201f  nop
0x5500000718:  d65f03c0  ret

Trace 0: 0x7f0 [0000000001009b31/0000005500000714/00000001/00000200] main
----------------
IN: count_begin
0x5500000800:  d65f03c0  ret

Trace 0: 0x7f1 [0000000001009b31/0000005500000800/00000001/00000200] count_begin
----------------
IN: q8_byte8_6
0x5500000900:  4e82a420  .byte    0x20, 0xa4, 0x82, 0x4e
0x5500000904:  d503201f  nop
0x5500000908:  54ffff81  b.ne     #0x5500000900

Trace 0: 0x7f2 [0000000001009b31/0000005500000900/00000001/00000200] q8_byte8_6
Trace 0: 0x7f2 [0000000001009b31/0000005500000900/00000001/00000200] q8_byte8_6
Trace 0: 0x7f0 [0000000001009b31/0000005500000714/00000001/00000200] main
Trace 0: 0x7f3 [0000000001009b31/0000005500000810/00000001/00000200] count_end
Trace 0: 0x7f2 [0000000001009b31/0000005500000900/00000001/00000200] q8_byte8_6
`

func TestReadLog(t *testing.T) {
	windows, err := readLog(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if len(windows) != 1 {
		t.Fatalf("%d windows", len(windows))
	}
	c := windows[0]
	if c.all() != 8 || c.kinds[simd] != 2 || c.names["nop"] != 3 || c.products("int8") != 2 {
		t.Errorf("got %v, %v", c.kinds, c.names)
	}
	got := row("i8mm", kernel{"q8_0", "int8", 64, -1}, c)
	if want := "| i8mm | q8_0 | 125.0 | 31.2 | 31.2 | 0.0 | 0.0 | 0.0 | 93.8 | 25 % | 100 % |"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestReadLogInterrupted(t *testing.T) {
	for _, line := range []string{
		"Stopped execution of TB chain before 0x7f2 [0000005500000900] q8_byte8_6\n",
		"Trace 0: 0x7f2 [0000000001009b31/0000005500abcdef/00000001/00000200] q8_byte8_6\n",
	} {
		if _, err := readLog(strings.NewReader(strings.Replace(log, "IN: q8_byte8_6\n", line+"IN: q8_byte8_6\n", 1))); err == nil {
			t.Errorf("no error of %q", line)
		}
	}
}
