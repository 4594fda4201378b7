// Command counts says how many instructions the engine's kernels for 64-bit Arm execute, under qemu: for each multiply-add,
// of which kind, and beside the fewest that the instruction set allows. `make counts` runs it.
//
// qemu's log has the instructions of every block of code that it translates and a line for every block that it executes, so the
// counts are exact. They are no times: nothing here knows of latencies, widths or caches.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

func main() {
	isas := flag.String("isas", "neon,dotprod,i8mm", "instruction sets, separated by commas")
	only := flag.String("kernel", "", "only the kernels whose names begin so, with their instructions by name")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "counts [flags] QEMU... COUNT_KERNELS: how to run qemu, and the program of ggml/bench")
		os.Exit(2)
	}
	fmt.Println("| | | all | least | products | other SIMD | loads | stores | else | of all | of SIMD |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, isa := range strings.Split(*isas, ",") {
		if err := measure(os.Stdout, flag.Args(), isa, *only); err != nil {
			fmt.Fprintln(os.Stderr, "counts:", err)
			os.Exit(1)
		}
	}
}

// measure runs the kernels of an instruction set and prints a row for each.
func measure(w io.Writer, command []string, isa, only string) error {
	r, log, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	args := append([]string{"-d", "in_asm,exec,nochain", "-D", "/dev/fd/3"}, command[1:]...)
	cmd := exec.Command(command[0], append(args, isa)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, os.Stderr, []*os.File{log}
	err = cmd.Start()
	log.Close()
	if err != nil {
		return err
	}
	counted, readErr := readLog(r)
	if readErr != nil {
		_ = cmd.Process.Kill()
	}
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(counted) {
		return fmt.Errorf("%s: the program names %d kernels, and the log has %d", isa, len(lines), len(counted))
	}
	for i, line := range lines {
		k, err := parseKernel(line)
		if err != nil {
			return err
		}
		c := counted[i]
		if k.less >= 0 {
			c = c.without(counted[k.less])
		}
		if strings.HasPrefix(k.name, only) {
			fmt.Fprintln(w, row(isa, k, c))
			if only != "" {
				c.printNames(w, k.work)
			}
		}
	}
	return nil
}

// A kernel is a line of count_kernels's output.
type kernel struct {
	name, arithmetic string
	work             float64 // multiply-adds, or elements
	less             int     // the line to take off, or -1
}

func parseKernel(line string) (kernel, error) {
	f := strings.Split(line, "\t")
	if len(f) != 4 {
		return kernel{}, fmt.Errorf("expected four columns: %q", line)
	}
	work, err := strconv.ParseFloat(f[2], 64)
	less, err2 := strconv.Atoi(f[3])
	return kernel{f[0], f[1], work, less}, errors.Join(err, err2)
}

// leastPer says how many instructions a multiply-add takes at least, in the instructions that ceiling.inc measures.
func leastPer(isa, arithmetic string) float64 {
	switch {
	case arithmetic == "f32":
		return 1.0 / 4 // fmla
	case arithmetic == "bf16":
		return 1.0 / 16 // bfmmla
	case arithmetic == "int8" && isa == "i8mm":
		return 1.0 / 32 // smmla
	case arithmetic == "int8" && isa == "dotprod":
		return 1.0 / 16 // sdot
	case arithmetic == "int8":
		return 3.0 / 16 // smull, smlal2, sadalp
	}
	return 0
}

// row is a kernel's counts as a row of a table, for 1,000 multiply-adds or for an element.
func row(isa string, k kernel, c *counts) string {
	unit := k.work
	least := k.work * leastPer(isa, k.arithmetic)
	if least > 0 {
		unit /= 1000
	}
	per := func(n float64) string { return strconv.FormatFloat(n/unit, 'f', 1, 64) }
	share := func(all float64) string {
		if least == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f %%", 100*least/all)
	}
	products := float64(c.products(k.arithmetic))
	simd := float64(c.kinds[simd])
	cells := []string{isa, k.name, per(float64(c.all())), per(least), per(products), per(simd - products), per(float64(c.kinds[load])),
		per(float64(c.kinds[store])), per(float64(c.kinds[other])), share(float64(c.all())), share(simd)}
	if least == 0 {
		cells[3], cells[4] = "", ""
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// readLog counts the instructions of each window between count_begin and count_end.
func readLog(r io.Reader) ([]*counts, error) {
	var windows []*counts
	var window, block *counts
	blocks := map[string]*counts{} // by the address that their first instruction has in the log
	fresh := false                 // a translation begins
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading qemu's log: %w", err)
		}
		s := string(line)
		switch {
		case strings.HasPrefix(s, "IN:"):
			fresh = true
		case strings.HasPrefix(s, "0x"):
			address, rest, _ := strings.Cut(s, ":")
			if fresh {
				block, fresh = newCounts(), false
				blocks[strings.TrimLeft(address[2:], "0")] = block
			}
			f := strings.Fields(rest)
			if len(f) < 2 {
				return nil, fmt.Errorf("an instruction in qemu's log: %q", s)
			}
			code, err := strconv.ParseUint(f[0], 16, 32)
			if err != nil {
				return nil, fmt.Errorf("an instruction in qemu's log: %w", err)
			}
			block.add(uint32(code), f[1])
		case strings.HasPrefix(s, "Trace"):
			name := strings.TrimSpace(s[strings.LastIndexByte(s, ']')+1:])
			switch name {
			case "count_begin":
				window = newCounts()
				continue
			case "count_end":
				windows = append(windows, window)
				window = nil
			}
			if window == nil {
				continue
			}
			f := strings.Split(s, "/")
			if len(f) < 2 || blocks[strings.TrimLeft(f[1], "0")] == nil {
				return nil, fmt.Errorf("a block in qemu's log that wasn't translated: %q", s)
			}
			window.executed[blocks[strings.TrimLeft(f[1], "0")]]++
		case strings.HasPrefix(s, "Stopped") && window != nil:
			return nil, fmt.Errorf("qemu was interrupted, so the count isn't exact: %q", s)
		}
	}
	for _, w := range windows {
		w.settle()
	}
	return windows, nil
}
