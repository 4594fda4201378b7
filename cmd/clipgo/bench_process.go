package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/clipgo/clipgo/internal/bench"
)

// benchJob is the environment variable that makes `clipgo bench` do one job, a bench.Job in JSON: each measurement has a
// process of its own, so that its memory and its start are its own.
const benchJob = "CLIPGO_BENCH_JOB"

// benchMessage is what the measuring process writes: an empty one at its first result, and then the measurement.
type benchMessage struct {
	Sample    *bench.Sample
	PeakBytes int64 // 0: unknown
}

// apart is a sample with what was seen from outside.
type apart struct {
	*bench.Sample
	PeakBytes int64
	StartMS   float64
}

// measureApart does a job on the model in file, in a new process.
func measureApart(ctx context.Context, file *scratchFile, job bench.Job) (*apart, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "bench")
	job.File = file.share(cmd)
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), benchJob+"="+string(text)), &said
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m, err := readAnswers(answers, start)
	if failed := cmd.Wait(); failed != nil {
		err = failed
		if text := strings.TrimPrefix(strings.TrimSpace(said.String()), "clipgo: "); text != "" {
			err = errors.New(text)
		}
	}
	return m, err
}

func readAnswers(r io.Reader, start time.Time) (*apart, error) {
	var message benchMessage
	answers := json.NewDecoder(r)
	if err := answers.Decode(&message); err != nil {
		return nil, fmt.Errorf("waiting for the first result: %w", err)
	}
	m := &apart{StartMS: time.Since(start).Seconds() * 1e3}
	if err := answers.Decode(&message); err != nil {
		return nil, fmt.Errorf("waiting for the measurement: %w", err)
	}
	if message.Sample == nil {
		return nil, errors.New("the measuring process gave no measurement")
	}
	m.Sample, m.PeakBytes = message.Sample, message.PeakBytes
	return m, nil
}

// measureJob is what the new process does.
func measureJob(ctx context.Context, text string, out io.Writer) error {
	var job bench.Job
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return fmt.Errorf("$%s: %w", benchJob, err)
	}
	answers := json.NewEncoder(out)
	sample, err := bench.Measure(ctx, job, func() error { return answers.Encode(benchMessage{}) })
	if err != nil {
		return err
	}
	peak, _ := peakMemory()
	return answers.Encode(benchMessage{Sample: sample, PeakBytes: peak})
}
