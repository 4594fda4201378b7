//go:build unix

package tokenizer

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkBPE encodes plain captions line by line, and what is hard: mixed scripts, and a text of one word.
func BenchmarkBPE(b *testing.B) {
	var mixed []string
	for _, line := range readGoldens(b, "testdata/clip.jsonl.gz") {
		mixed = append(mixed, line.text)
	}
	inputs := []struct {
		name  string
		lines []string
	}{
		{"captions", captions(2000)},
		{"mixed", mixed},
		{"oneword", []string{strings.Repeat("abcdefghij", 30000)}},
	}
	tokenizers := []struct {
		name string
		tok  *Tokenizer
	}{
		{"clip", openAI(b)},
		{"gemma", fromFolder(b, "testdata/class-gemma")},
	}
	for _, t := range tokenizers {
		for _, in := range inputs {
			b.Run(t.name+"/"+in.name, func(b *testing.B) {
				size := 0
				for _, line := range in.lines {
					size += len(line)
				}
				b.SetBytes(int64(size))
				start, rounds := cpuTime(), 0
				for b.Loop() {
					for _, line := range in.lines {
						t.tok.Encode(line)
					}
					rounds++
				}
				// On a machine with other work, the processor's time says more than the clock's.
				b.ReportMetric(float64(size*rounds)/1e6/(cpuTime()-start).Seconds(), "cpu-MB/s")
			})
		}
	}
}

// captions returns sentences as captions have them; words repeat as they do there.
func captions(n int) (out []string) {
	subjects := strings.Fields("cat dog owl fox bear seagull car tree bike woman man child horse boat plane house street beach mountain bridge")
	verbs := strings.Fields("sleeping running sitting jumping standing playing eating looking flying swimming waiting shining")
	places := strings.Fields("sofa field kitchen river garden table road snow sand forest window stage market station harbour desert")
	for i := range n {
		out = append(out, "A photo of a "+subjects[i%20]+" "+verbs[i*7%12]+" near the "+places[i*5%16]+", with two "+subjects[i*3%20]+"s behind it; it's "+verbs[i%12]+" too.")
	}
	return out
}

// cpuTime returns the processor time of this process, garbage collection included.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkNewOpenAICLIP(b *testing.B) {
	for b.Loop() {
		openAI(b)
	}
}
