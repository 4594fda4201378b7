package testutil

import (
	"encoding/binary"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// ReadNPY reads a little-endian float32 array in row-major order from a file of NumPy's.
func ReadNPY(t testing.TB, path string) (shape []int, values []float32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 10 + int(binary.LittleEndian.Uint16(b[8:]))
	head, b := string(b[10:n]), b[n:]
	if !strings.Contains(head, "'descr': '<f4', 'fortran_order': False") {
		t.Fatalf("reading %s: its head is %q, expected little-endian float32 in row-major order", path, head)
	}
	for _, f := range strings.Split(regexp.MustCompile(`\(([^)]*)\)`).FindStringSubmatch(head)[1], ",") {
		if f = strings.TrimSpace(f); f != "" {
			d, err := strconv.Atoi(f)
			if err != nil {
				t.Fatalf("reading the shape in %s: %v", path, err)
			}
			shape = append(shape, d)
		}
	}
	values = make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return shape, values
}
