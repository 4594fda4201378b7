package preprocess

import (
	"errors"
	"runtime"
	"sync"
)

// Pass is one pass of a resize: each output is a sum of neighbouring inputs, weighted in fixed point, rounded and clipped.
//
//	dst[i] = clip((1<<(Shift-1) + sum over j of weight[j] * src[first + j]) >> Shift)
type Pass struct {
	Down                 bool // along columns, else along rows
	Channels             int  // 1 to 4, interleaved
	Src, Dst             []byte
	Width, Height        int // of Src in pixels
	SrcStride, DstStride int // bytes from a row to the next
	Outputs              int // pixels in a row of Dst or, Down, its rows
	Kernel               []int32
	Taps                 int // a record of the Kernel is: the first input, the number of inputs, Taps weights (zeros after the last)
	Shift                uint
}

// Resampler carries out passes; several goroutines call it. All give the same bytes.
type Resampler func(p *Pass) error

// pass runs k over src, on several goroutines if the work is worth it; without a kernel it returns src.
func (z resizer) pass(src raster, k *fixedKernel, down bool) (raster, error) {
	if k == nil {
		return src, nil
	}
	out := newRaster(k.outputs, src.h, src.n)
	if down {
		out = newRaster(src.w, k.outputs, src.n)
	}
	resample, perThread := z.resample, 1<<24
	if resample == nil {
		resample, perThread = Resample, 1<<19
	}
	whole := Pass{
		Down: down, Channels: src.n, Src: src.pix, Dst: out.pix, Width: src.w, Height: src.h, SrcStride: src.stride, DstStride: out.stride,
		Outputs: k.outputs, Kernel: k.records, Taps: k.taps, Shift: k.shift,
	}
	return out, parallel(out.h, len(out.pix)*k.taps/perThread, func(from, to int) error {
		part := whole
		part.Dst = out.pix[from*out.stride : to*out.stride]
		if down {
			part.Outputs, part.Kernel = to-from, k.records[from*(2+k.taps):to*(2+k.taps)]
		} else {
			rows := src.window(span{0, src.w}, span{from, to})
			part.Src, part.Height = rows.pix, rows.h
		}
		return resample(&part)
	})
}

// parallel splits n rows over at most `threads` goroutines, and as many as the process may run at once.
func parallel(n, threads int, f func(from, to int) error) error {
	threads = min(runtime.GOMAXPROCS(0), threads, n)
	if threads <= 1 {
		return f(0, n)
	}
	var wg sync.WaitGroup
	errs := make([]error, threads)
	for i := range threads {
		wg.Go(func() { errs[i] = f(n*i/threads, n*(i+1)/threads) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Resample is the Resampler in Go, by which the others are measured.
func Resample(p *Pass) error {
	if p.Down {
		p.down()
		return nil
	}
	for y := range p.Height {
		dst, src := p.Dst[y*p.DstStride:], p.Src[y*p.SrcStride:y*p.SrcStride+p.Width*p.Channels]
		if p.Channels == 3 {
			p.acrossRGB(dst, src)
		} else {
			p.across(dst, src)
		}
	}
	return nil
}

// output returns the first input of output i, and the weights.
func (p *Pass) output(i int) (first int, weights []int32) {
	r := p.Kernel[i*(2+p.Taps) : (i+1)*(2+p.Taps)]
	return int(r[0]), r[2 : 2+r[1]]
}

func (p *Pass) across(dst, src []byte) {
	n, half := p.Channels, int32(1)<<(p.Shift-1)
	for i := range p.Outputs {
		from, weights := p.output(i)
		for c := range n {
			sum := half
			for j, w := range weights {
				sum += w * int32(src[(from+j)*n+c])
			}
			dst[i*n+c] = clip8(sum >> p.Shift)
		}
	}
}

func (p *Pass) acrossRGB(dst, src []byte) {
	half, shift := int32(1)<<(p.Shift-1), p.Shift&31
	for i := range p.Outputs {
		from, weights := p.output(i)
		s := src[3*from : 3*(from+len(weights))]
		r, g, b := half, half, half
		for _, w := range weights {
			if len(s) < 3 {
				break // never: it spares three bounds checks
			}
			r += w * int32(s[0])
			g += w * int32(s[1])
			b += w * int32(s[2])
			s = s[3:]
		}
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = clip8(r>>shift), clip8(g>>shift), clip8(b>>shift)
	}
}

func (p *Pass) down() {
	half, shift := int32(1)<<(p.Shift-1), p.Shift&31
	sums := make([]int32, p.Width*p.Channels)
	for i := range p.Outputs {
		for c := range sums {
			sums[c] = half
		}
		first, weights := p.output(i)
		for j, w := range weights {
			row := p.Src[(first+j)*p.SrcStride:][:len(sums)]
			for c, v := range row {
				sums[c] += w * int32(v)
			}
		}
		out := p.Dst[i*p.DstStride:][:len(sums)]
		for c, v := range sums {
			out[c] = clip8(v >> shift)
		}
	}
}

func clip8(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}
