package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/bench"
	"github.com/clipgo/clipgo/quantize"
)

func benchCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:  "bench",
		Usage: "measure how fast towers of the usual sizes run here",
		Description: `Makes models with random weights and measures each tower in a process of its own. ms is the time per picture or text:
the median of the faster half of the runs, divided by the batch. GFLOP counts, per picture or text, the products and
the attention of all rows in all blocks, as papers do, though of the last block only the pooled row is computed; a
multiply-add is two. The share is GFLOP / ms of the ceiling: what the same threads can do at most of the arithmetic
that the type is computed with, measured just before and after (8-bit integers for quantised types, or bfloat16 on the
instruction set amx; else float32, or bfloat16 with --fast where the processor has it). On amx F16 and BF16 can exceed
float32's, as their products are made of several of bfloat16. Peak memory is the whole process's, in millions of bytes;
start is the time from starting that process to its first result.

Examples:
  clipgo bench
  clipgo bench --shape vit-l-14 --type q8_0,q4_k_m --batch 1,8 --threads 1,2 --json
  clipgo bench --shape vit-b-32 --type f16 --fast --tower image --ops
  clipgo bench --pictures`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "shape", Value: "vit-b-32", Usage: "`LIST` of sizes of models: " + strings.Join(bench.Names(), ", ") + "\n\t(default: vit-b-32)"},
			&cli.StringFlag{Name: "type", Value: "f32,q8_0,q4_0", Usage: "`LIST` of types of weights, as clipgo quantize knows them (default: f32,q8_0,q4_0)"},
			&cli.StringFlag{Name: "batch", Value: "1,8", Usage: "`LIST` of how many pictures or texts run at a time (default: 1,8)"},
			&cli.StringFlag{Name: "threads", Aliases: []string{"t"}, Usage: "`LIST` of numbers of threads (default: one for each processor)"},
			&cli.StringFlag{Name: "tower", Value: "image,text", Usage: "`LIST` of towers: image, text (default: both)"},
			&cli.IntFlag{Name: "tokens", Usage: "texts have `N` tokens (default: as many as the model takes)"},
			activationsFlag(), fastFlag(), isaFlag(),
			&cli.BoolFlag{Name: "ops", Usage: "also the time of each kind of op, which run apart then; in JSON also start_ms"},
			&cli.BoolFlag{Name: "pictures", Usage: "instead of towers, the way of a picture to pixel values: decode, resize, normalise"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		},
		Action: func(c *cli.Context) error {
			if job := os.Getenv(benchJob); job != "" {
				return measureJob(c.Context, job, s.out)
			}
			return runBench(c, s)
		},
	})
}

// benchReport is the answer in JSON.
type benchReport struct {
	Machine  benchMachine        `json:"machine"`
	Results  []benchResult       `json:"results"`
	Pictures []bench.PictureTime `json:"pictures,omitempty"`
}

type benchMachine struct {
	CPU      string        `json:"cpu"`
	ISA      string        `json:"isa"`
	Ceilings benchCeilings `json:"ceilings"` // of the greatest number of threads
}

// benchCeilings are 0 where the processor has no such instructions.
type benchCeilings struct {
	F32  float64 `json:"f32_gflops"`
	BF16 float64 `json:"bf16_gflops"`
	Int8 float64 `json:"int8_gops"`
	Read float64 `json:"read_gbs"`
}

type benchResult struct {
	Shape   string         `json:"shape"`
	Tower   bench.Tower    `json:"tower"`
	Type    string         `json:"type"`
	Batch   int            `json:"batch"`
	Threads int            `json:"threads"`
	Rows    int            `json:"rows"`
	MS      float64        `json:"ms"`
	GFLOP   float64        `json:"gflop"`
	Share   *float64       `json:"share_of_ceiling"` // null: no ceiling, as of plain C
	PeakRSS *float64       `json:"peak_rss_mb"`      // null: this system doesn't tell
	StartMS float64        `json:"start_ms,omitempty"`
	LineNS  float64        `json:"line_ns,omitempty"` // in which a cache line goes from thread to thread, before or after
	Ops     []bench.OpTime `json:"ops,omitempty"`
}

// benchPlan is what the flags ask for.
type benchPlan struct {
	shapes      []bench.Shape
	types       []string
	policies    []*quantize.Policy // of types
	batches     []int
	threads     []int // 0: as many as processors
	towers      []bench.Tower
	tokens      int
	isa         string
	activations clipgo.Activations
	ops         bool
}

func readPlan(c *cli.Context) (*benchPlan, error) {
	if c.NArg() > 0 {
		return nil, fmt.Errorf("bench: unexpected argument %q; see `clipgo bench --help`", c.Args().First())
	}
	for _, flag := range []string{"shape", "type", "batch", "threads", "tower", "tokens", "activations", "fast", "ops"} {
		if c.Bool("pictures") && c.IsSet(flag) {
			return nil, fmt.Errorf("bench: --pictures measures no towers, and --%s is about them", flag)
		}
	}
	a, err := chosenActivations(c)
	if err != nil {
		return nil, err
	}
	p := &benchPlan{threads: []int{0}, tokens: c.Int("tokens"), isa: c.String("isa"), activations: a, ops: c.Bool("ops")}
	for _, name := range list(c, "shape") {
		shape, err := bench.Find(name)
		if err != nil {
			return nil, fmt.Errorf("--shape: %w", err)
		}
		p.shapes = append(p.shapes, shape)
	}
	for _, name := range list(c, "type") {
		policy, err := quantize.ParsePolicy(name)
		if err != nil {
			return nil, fmt.Errorf("--type: %w", err)
		}
		p.types, p.policies = append(p.types, name), append(p.policies, policy)
	}
	for _, name := range list(c, "tower") {
		tower := bench.Tower(name)
		if tower != bench.Image && tower != bench.Text {
			return nil, fmt.Errorf("--tower: unknown tower %q, expected image or text", name)
		}
		p.towers = append(p.towers, tower)
	}
	if p.batches, err = numbers(c, "batch"); err != nil {
		return nil, err
	}
	if c.IsSet("threads") {
		if p.threads, err = numbers(c, "threads"); err != nil {
			return nil, err
		}
	}
	if c.IsSet("tokens") && p.tokens < 1 {
		return nil, fmt.Errorf("--tokens is %d, expected 1 or more", p.tokens)
	}
	for _, shape := range p.shapes {
		if most := shape.Model.Text.Context; p.tokens > most {
			return nil, fmt.Errorf("--tokens is %d, expected at most the %d of %s", p.tokens, most, shape.Name)
		}
	}
	return p, nil
}

// list returns the parts of a flag's value between commas.
func list(c *cli.Context, flag string) []string {
	parts := strings.Split(c.String(flag), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func numbers(c *cli.Context, flag string) (all []int, err error) {
	for _, part := range list(c, flag) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 1<<16 {
			return nil, fmt.Errorf("--%s is %q, expected numbers from 1 on, with commas between them", flag, c.String(flag))
		}
		all = append(all, n)
	}
	return all, nil
}

func runBench(c *cli.Context, s streams) error {
	plan, err := readPlan(c)
	if err != nil {
		return err
	}
	machines := map[int]*bench.Machine{}
	for _, n := range plan.threads {
		if machines[n], err = bench.Describe(n, plan.isa); err != nil {
			return err
		}
	}
	out := io.Discard
	if !c.Bool("json") {
		out = s.out
	}
	printMachine(out, plan, machines)
	report := benchReport{Results: []benchResult{}}
	if c.Bool("pictures") {
		if report.Pictures, err = bench.Pictures(c.Context, plan.isa); err == nil {
			err = printPictures(out, report.Pictures)
		}
	} else {
		printHeading(out)
		err = plan.each(c.Context, func(n int, r benchResult, ceilings bench.Ceilings) error {
			machines[n].Ceilings = bench.Best(machines[n].Ceilings, ceilings)
			report.Results = append(report.Results, r)
			return printResult(out, r)
		})
	}
	if err != nil || !c.Bool("json") {
		return err
	}
	if !plan.ops {
		for i := range report.Results {
			report.Results[i].StartMS = 0
		}
	}
	m := machines[slices.Max(plan.threads)]
	report.Machine = benchMachine{m.CPU, m.ISA, benchCeilings{
		m.Ceilings.F32 / 1e9, m.Ceilings.BF16 / 1e9, m.Ceilings.Int8 / 1e9, m.Ceilings.Read / 1e9}}
	b, err := marshal(report)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", b)
	return err
}

// each measures everything, and makes each model once. threads is as planned: maybe 0.
func (p *benchPlan) each(ctx context.Context, done func(threads int, r benchResult, ceilings bench.Ceilings) error) error {
	for _, shape := range p.shapes {
		for _, tower := range p.towers {
			for i, policy := range p.policies {
				file, err := newScratchFile()
				if err != nil {
					return fmt.Errorf("making a model: %w", err)
				}
				if err = shape.Write(file, tower, policy); err != nil {
					err = fmt.Errorf("making a model of %s with %s weights: %w", shape.Name, p.types[i], err)
				} else {
					err = p.eachOf(ctx, file, shape, tower, i, done)
				}
				file.remove()
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// eachOf measures one model with every number of threads and items.
func (p *benchPlan) eachOf(ctx context.Context, file *scratchFile, shape bench.Shape, tower bench.Tower, typ int,
	done func(threads int, r benchResult, ceilings bench.Ceilings) error) error {
	for _, threads := range p.threads {
		for _, batch := range p.batches {
			job := bench.Job{Tower: tower, Batch: batch, Threads: threads, ISA: p.isa, Activations: p.activations, Ops: p.ops}
			if tower == bench.Text {
				job.Tokens = p.tokens
			}
			m, err := measureApart(ctx, file, job)
			if err != nil {
				return fmt.Errorf("measuring %s, %s tower, %s weights: %w", shape.Name, tower, p.types[typ], err)
			}
			r := benchResult{Shape: shape.Name, Tower: tower, Type: p.types[typ], Batch: batch, Threads: m.Threads, Rows: m.Rows,
				MS: m.MS, GFLOP: m.GFLOP, StartMS: m.StartMS, LineNS: m.Ceilings.Handover * 1e9, Ops: m.Ops}
			if ceiling := p.ceiling(p.policies[typ].Base(), m.ISA, m.Ceilings); ceiling > 0 {
				share := m.GFLOP / (m.MS / 1e3) / (ceiling / 1e9)
				r.Share = &share
			}
			if m.PeakBytes > 0 {
				peak := float64(m.PeakBytes) / 1e6
				r.PeakRSS = &peak
			}
			if err := done(threads, r, m.Ceilings); err != nil {
				return err
			}
		}
	}
	return nil
}

// ceiling is the one of the arithmetic that a type's products are computed with.
func (p *benchPlan) ceiling(t gguf.Type, isa string, c bench.Ceilings) float64 {
	switch {
	case t.Quantized() && p.activations != clipgo.Float32:
		if isa == "amx" { // its products are all of bfloat16
			return c.BF16
		}
		return c.Int8
	case (t == gguf.F16 || t == gguf.BF16) && p.activations == clipgo.BFloat16 && c.BF16 > 0:
		return c.BF16
	}
	return c.F32
}

func printMachine(w io.Writer, p *benchPlan, machines map[int]*bench.Machine) {
	for _, n := range p.threads {
		m := machines[n]
		fmt.Fprintf(w, "%s, %s, %d threads: at most float32 %s, bfloat16 %s, 8-bit %s; memory %.0f GB/s\n", m.CPU, m.ISA, m.Threads,
			giga(m.Ceilings.F32), giga(m.Ceilings.BF16), giga(m.Ceilings.Int8), m.Ceilings.Read/1e9)
	}
}

func printHeading(w io.Writer) {
	fmt.Fprintf(w, "\n%-14s %-6s %-8s %5s %7s %5s %10s %8s %6s %8s %9s %8s\n", "shape", "tower", "type", "batch", "threads", "rows",
		"ms", "GFLOP/s", "share", "peak MB", "start ms", "line ns")
}

func giga(rate float64) string {
	if rate == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f GOP/s", rate/1e9)
}

func printResult(w io.Writer, r benchResult) error {
	share, peak, line := "-", "-", "-"
	if r.Share != nil {
		share = fmt.Sprintf("%.1f %%", 100**r.Share)
	}
	if r.PeakRSS != nil {
		peak = fmt.Sprintf("%.0f", *r.PeakRSS)
	}
	if r.LineNS > 0 {
		line = fmt.Sprintf("%.0f", r.LineNS)
	}
	_, err := fmt.Fprintf(w, "%-14s %-6s %-8s %5d %7d %5d %10.2f %8.0f %6s %8s %9.0f %8s\n", r.Shape, r.Tower, r.Type, r.Batch, r.Threads,
		r.Rows, r.MS, r.GFLOP/r.MS*1e3, share, peak, r.StartMS, line)
	for _, op := range r.Ops {
		rate := ""
		if op.GFLOP > 0 && op.MS > 0 {
			rate = fmt.Sprintf("%8.0f", op.GFLOP/op.MS*1e3)
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "    %3d x %-44s %7.2f %s\n", op.Count, op.Op, op.MS, rate)
		}
	}
	return err
}

func printPictures(w io.Writer, list []bench.PictureTime) error {
	_, err := fmt.Fprintf(w, "\n%-16s %10s  %-18s %10s %10s %12s\n", "picture", "bytes", "decoder", "decode ms", "resize ms", "normalise ms")
	for _, p := range list {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-16s %10d  %-18s %10.2f %10.2f %12.2f\n", p.Picture, p.Bytes, p.Decoder, p.Decode, p.Resize, p.Values)
		}
	}
	return err
}
