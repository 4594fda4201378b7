package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
)

func inspectCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "inspect",
		Usage:     "print what a GGUF file holds",
		ArgsUsage: "FILE|ORG/NAME",
		Description: `Examples:
  clipgo inspect model.gguf
  clipgo inspect --tensors --json model.gguf`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "tensors", Usage: "list the tensors too"},
			&cli.BoolFlag{Name: "program", Usage: "list the ops that compute the towers"},
		},
		Action: func(c *cli.Context) error { return inspect(c, s) },
	})
}

// inspection is what inspect prints.
type inspection struct {
	File      string         `json:"file"`
	Version   int            `json:"version"`
	Size      int64          `json:"size"`
	Alignment int64          `json:"alignment"`
	Metadata  []keyValue     `json:"metadata"`
	Types     map[string]int `json:"types"`
	Elements  uint64         `json:"parameters"`
	Tensors   []tensorEntry  `json:"tensors,omitempty"`
	Programs  []programEntry `json:"programs,omitempty"`
}

type keyValue struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type tensorEntry struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Dims   []uint64 `json:"dims"`
	Offset int64    `json:"offset"`
	Bytes  int64    `json:"bytes"`
}

type programEntry struct {
	Tower string `json:"tower"`
	Text  string `json:"text"`
}

func inspect(c *cli.Context, s streams) error {
	if c.NArg() != 1 {
		return fmt.Errorf("inspect: %d files, expected one; see `clipgo inspect --help`", c.NArg())
	}
	path, err := modelPath(c.Context, s, c.Args().First())
	if err != nil {
		return err
	}
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	x, err := inspectFile(f)
	if err != nil {
		return err
	}
	if c.Bool("tensors") {
		for _, t := range f.Tensors() {
			x.Tensors = append(x.Tensors, tensorEntry{t.Name, t.Type.String(), t.Dims, t.Offset, t.Bytes})
		}
	}
	if c.Bool("program") {
		m, err := clipgo.Open(path, clipgo.WithInterpreter())
		if err != nil {
			return err
		}
		defer m.Close()
		image, text, err := m.Programs()
		if err != nil {
			return err
		}
		for _, p := range []programEntry{{"image", image}, {"text", text}} {
			if p.Text != "" {
				x.Programs = append(x.Programs, p)
			}
		}
	}
	if c.Bool("json") {
		b, err := marshal(x)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", b)
		return err
	}
	return printInspection(s.out, x)
}

func inspectFile(f *gguf.File) (*inspection, error) {
	x := &inspection{File: f.Name(), Version: f.Version(), Size: f.Size(), Alignment: f.Alignment(), Types: map[string]int{}}
	for _, key := range f.Keys() {
		v, err := f.Value(key)
		if err != nil {
			return nil, err
		}
		typ, value := describeValue(v)
		x.Metadata = append(x.Metadata, keyValue{key, typ, value})
	}
	for _, t := range f.Tensors() {
		x.Types[t.Type.String()]++
		x.Elements += t.Elements()
	}
	return x, nil
}

// describeValue returns a value's type, and the value as JSON can hold it. Of long arrays and texts, the beginning.
func describeValue(v any) (typ string, value any) {
	const most = 8
	typ = strings.TrimPrefix(fmt.Sprintf("%T", v), "[]")
	switch v := v.(type) {
	case float32:
		return typ, finite(float64(v))
	case float64:
		return typ, finite(v)
	case string:
		if len(v) > 200 {
			return typ, strings.ToValidUTF8(v[:200], "") + "..."
		}
		return typ, v
	case []string:
		return fmt.Sprintf("%s[%d]", typ, len(v)), v[:min(len(v), most)]
	case []float32:
		var list []any
		for _, x := range v[:min(len(v), most)] {
			list = append(list, finite(float64(x)))
		}
		return fmt.Sprintf("%s[%d]", typ, len(v)), list
	case []float64:
		var list []any
		for _, x := range v[:min(len(v), most)] {
			list = append(list, finite(x))
		}
		return fmt.Sprintf("%s[%d]", typ, len(v)), list
	}
	if strings.HasPrefix(fmt.Sprintf("%T", v), "[]") {
		n, list := integers(v, most)
		return fmt.Sprintf("%s[%d]", typ, n), list
	}
	return typ, v
}

// finite spells out what JSON has no number for.
func finite(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Sprint(x)
	}
	return x
}

// integers returns the length of a slice of integers or booleans, and its first elements.
func integers(v any, most int) (n int, list []any) {
	switch v := v.(type) {
	case []uint8:
		return first(v, most)
	case []int8:
		return first(v, most)
	case []uint16:
		return first(v, most)
	case []int16:
		return first(v, most)
	case []uint32:
		return first(v, most)
	case []int32:
		return first(v, most)
	case []uint64:
		return first(v, most)
	case []int64:
		return first(v, most)
	case []bool:
		return first(v, most)
	}
	return 0, nil
}

func first[T any](v []T, most int) (n int, list []any) {
	for _, x := range v[:min(len(v), most)] {
		list = append(list, x)
	}
	return len(v), list
}

func printInspection(out io.Writer, x *inspection) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s: GGUF version %d, %s, %s parameters\n", x.File, x.Version, byteSize(x.Size), thousands(x.Elements))
	width := 0
	for _, kv := range x.Metadata {
		width = max(width, len(kv.Key))
	}
	for _, kv := range x.Metadata {
		fmt.Fprintf(w, "  %-*s  %-12s  %v\n", width, kv.Key, kv.Type, kv.Value)
	}
	for _, t := range x.Tensors {
		fmt.Fprintf(w, "  %-32s  %-6s  %-20s  %10d bytes at %d\n", t.Name, t.Type, fmt.Sprint(t.Dims), t.Bytes, t.Offset)
	}
	for _, p := range x.Programs {
		fmt.Fprintf(w, "\n%s tower:\n%s", p.Tower, p.Text)
	}
	return w.Flush()
}

// thousands groups the digits of n.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
