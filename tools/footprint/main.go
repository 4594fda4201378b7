//go:build unix

// Command footprint measures what classifying one picture takes: the peak of the whole process's memory, and the time from its
// start to its first output, with nothing kept between runs and with labels and packed weights kept. It makes models of the
// usual sizes with random weights. `make footprint` runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clipgo/clipgo/internal/bench"
	"github.com/clipgo/clipgo/quantize"
)

func main() {
	shapes := flag.String("shapes", "vit-b-32,vit-l-14", "sizes of models, separated by commas")
	types := flag.String("types", "q8_0,q4_0", "types of weights")
	runs := flag.Int("runs", 11, "runs of which the median counts, and of memory the greatest")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "footprint [flags] CLIPGO PICTURE: the program, and a picture to classify")
		os.Exit(2)
	}
	if err := measure(strings.Split(*shapes, ","), strings.Split(*types, ","), flag.Arg(0), flag.Arg(1), *runs); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func measure(shapes, types []string, program, picture string, runs int) error {
	dir, err := os.MkdirTemp("", "footprint-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("| | | peak MB | start ms | processor ms |\n|---|---|---|---|---|")
	for _, shape := range shapes {
		for _, typ := range types {
			model := filepath.Join(dir, "model.gguf")
			if err := write(model, shape, typ); err != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond) // a file that has just changed isn't believed
			for _, cached := range []bool{false, true} {
				args := []string{"classify", "--model", model, "-l", "cat", "-l", "dog", picture}
				what := "cached"
				if !cached {
					what, args = "nothing kept", append(args, "--no-cache")
				}
				s, err := repeat(runs, program, args, "CLIPGO_CACHE="+filepath.Join(dir, "cache"))
				if err != nil {
					return fmt.Errorf("%s %s: %w", shape, typ, err)
				}
				fmt.Printf("| %s %s | %s | %.1f | %.0f | %.0f |\n", shape, typ, what, float64(s.peak)/1e6, ms(s.start), ms(s.busy))
			}
		}
	}
	return nil
}

func write(path, shape, typ string) error {
	s, err := bench.Find(shape)
	if err != nil {
		return err
	}
	policy, err := quantize.ParsePolicy(typ)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := s.WriteCLIP(f, policy); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// sample is one run of a process.
type sample struct {
	peak        int64 // bytes
	start, busy time.Duration
}

// repeat runs a command so many times, once before that to fill caches.
func repeat(runs int, program string, args []string, env string) (sample, error) {
	var all sample
	var starts, busy []time.Duration
	for i := range runs + 1 {
		s, err := run(program, args, env)
		if err != nil {
			return all, err
		}
		if i > 0 {
			starts, busy, all.peak = append(starts, s.start), append(busy, s.busy), max(all.peak, s.peak)
		}
	}
	slices.Sort(starts)
	slices.Sort(busy)
	all.start, all.busy = starts[len(starts)/2], busy[len(busy)/2]
	return all, nil
}

// run runs a command. The peak that the system tells of a process is at least that of the one that began it, here some 20 MB.
func run(program string, args []string, env string) (s sample, err error) {
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), env)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return s, err
	}
	_, none := io.ReadFull(out, make([]byte, 1))
	s.start = time.Since(began)
	_, _ = io.Copy(io.Discard, out)
	if err := errors.Join(c.Wait(), none); err != nil {
		return s, fmt.Errorf("%w: %s", err, said.String())
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return s, errors.New("this system doesn't tell what a process took")
	}
	s.peak = int64(usage.Maxrss)
	if runtime.GOOS != "darwin" {
		s.peak *= 1024 // which counts in bytes; others in KiB
	}
	s.busy = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return s, nil
}
