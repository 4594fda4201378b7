package bindings

import (
	"fmt"
	"unsafe"
)

// Resampling is one pass of a resize of 8-bit samples, as clipgo.h defines it.
type Resampling struct {
	Down                 bool // along columns, else along rows
	Channels             int  // 1 to 4, interleaved
	Src, Dst             []byte
	Width, Height        int // of Src in pixels
	SrcStride, DstStride int // bytes from a row to the next
	Outputs              int // pixels in a row of Dst or, Down, its rows
	Kernel               []int32
	Taps                 int // a record of the Kernel is: the first input, the number of inputs, Taps weights
	Shift                uint
}

// Resample does one pass on the caller's thread. Several goroutines may call it.
func (d *Device) Resample(r *Resampling) error {
	const call = "resample a picture"
	for _, n := range []int{r.Channels, int(r.Shift), r.Width, r.Height, r.Outputs, r.Taps} {
		if n < 0 || n > 1<<30 {
			return fmt.Errorf("%s: a size of %d, expected 0 to 2^30", call, n)
		}
	}
	if len(r.Kernel) != r.Outputs*(2+r.Taps) || len(r.Kernel) == 0 {
		return fmt.Errorf("%s: a kernel of %d numbers, expected %d for %d outputs of %d taps", call, len(r.Kernel),
			r.Outputs*(2+r.Taps), r.Outputs, r.Taps)
	}
	if r.SrcStride < 0 || r.DstStride < 0 {
		return fmt.Errorf("%s: rows %d and %d bytes apart, expected 0 or more", call, r.SrcStride, r.DstStride)
	}
	args := resampleArgs{
		Size: uint32(unsafe.Sizeof(resampleArgs{})), Channels: uint32(r.Channels), Shift: uint32(r.Shift), SrcWidth: uint32(r.Width),
		SrcHeight: uint32(r.Height), Outputs: uint32(r.Outputs), Taps: uint32(r.Taps), SrcStride: uint64(r.SrcStride),
		DstStride: uint64(r.DstStride),
	}
	if r.Down {
		args.Axis = 1
	}
	return d.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, d.lib.fn.resample(ptr, &args, unsafe.Pointer(unsafe.SliceData(r.Src)), uint64(len(r.Src)), &r.Kernel[0],
			unsafe.Pointer(unsafe.SliceData(r.Dst)), uint64(len(r.Dst)), e))
	})
}
