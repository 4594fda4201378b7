package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress is a bar on a terminal; on anything else it prints nothing.
type progress struct {
	w       io.Writer
	what    string
	started time.Time // when the first update came
	first   int64     // what was done then: a download that goes on wasn't as fast as it looks
	drawn   time.Time
	active  bool
}

func newProgress(w io.Writer, what string) *progress {
	return &progress{w: w, what: what, active: isTerminal(w)}
}

// update draws at most ten times a second; amount formats a number for people.
func (p *progress) update(done, total int64, amount func(int64) string) {
	now := time.Now()
	if p.started.IsZero() {
		p.started, p.first = now, done
	}
	if !p.active || total <= 0 || done < total && now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = now
	const width = 30
	filled := int(width * done / total)
	elapsed := now.Sub(p.started).Seconds()
	speed, left := "", ""
	if elapsed > 0.5 && done > p.first {
		rate := float64(done-p.first) / elapsed
		speed = fmt.Sprintf("  %s/s", amount(int64(rate)))
		left = fmt.Sprintf("  %s left", (time.Duration(float64(total-done)/rate) * time.Second).Round(time.Second))
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s [%s%s] %s of %s%s%s", p.what, strings.Repeat("=", filled), strings.Repeat(" ", width-filled),
		amount(done), amount(total), speed, left)
}

// clear removes the bar, so that something else can be printed.
func (p *progress) clear() {
	if p.active && !p.drawn.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func count(n int64) string { return fmt.Sprint(n) }

// byteSize formats a number of bytes, in powers of 1000.
func byteSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
