package bindings

import (
	"fmt"
	"math"
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

// IDCT makes the samples of a row of blocks of a JPEG component, as clipgo.h defines it: coeffs [blocks, 64] in file order, of which
// those behind last[block] are 0, to 8 rows of dst, stride bytes apart. Several goroutines may call it.
func (d *Device) IDCT(coeffs []int16, last []uint8, quant *[64]int32, dst []byte, stride int) error {
	const call = "transform blocks of a picture"
	if len(last) == 0 || len(coeffs) != 64*len(last) || stride < 0 || len(last) > 1<<16 {
		return fmt.Errorf("%s: %d coefficients of %d blocks, %d bytes between rows", call, len(coeffs), len(last), stride)
	}
	args := idctArgs{Size: uint32(unsafe.Sizeof(idctArgs{})), Blocks: uint32(len(last)), Stride: uint64(stride)}
	return d.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, d.lib.fn.idct(ptr, &args, &coeffs[0], &last[0], &quant[0], unsafe.Pointer(unsafe.SliceData(dst)),
			uint64(len(dst)), e))
	})
}

// YCCRows are rows to be made of the components of a JPEG picture, as clipgo.h defines it.
type YCCRows struct {
	Width, Height         int // of the picture
	Across, Down          int // pixels of a chroma sample: 1 x 1, 2 x 1 or 2 x 2
	First, Rows           int // which of the picture's rows
	Planes                []byte
	YStride, ChromaStride int    // bytes from a row to the next
	CbOffset, CrOffset    int    // in Planes, which begin with Y
	Dst                   []byte // [Rows, Width, 3]
}

// YCCRows makes them on the caller's thread. Several goroutines may call it.
func (d *Device) YCCRows(r *YCCRows) error {
	const call = "make rows of a picture"
	for _, n := range []int{r.Width, r.Height, r.Across, r.Down, r.First, r.Rows, r.YStride, r.ChromaStride, r.CbOffset, r.CrOffset} {
		if n < 0 || n > 1<<40 {
			return fmt.Errorf("%s: a size of %d, expected 0 to 2^40", call, n)
		}
	}
	args := yccArgs{
		Size: uint32(unsafe.Sizeof(yccArgs{})), Width: clamp32(r.Width), Height: clamp32(r.Height), Across: clamp32(r.Across),
		Down: clamp32(r.Down), First: clamp32(r.First), Rows: clamp32(r.Rows), YStride: uint64(r.YStride),
		ChromaStride: uint64(r.ChromaStride), CbOffset: uint64(r.CbOffset), CrOffset: uint64(r.CrOffset),
	}
	return d.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, d.lib.fn.yccRows(ptr, &args, unsafe.Pointer(unsafe.SliceData(r.Planes)), uint64(len(r.Planes)),
			unsafe.Pointer(unsafe.SliceData(r.Dst)), uint64(len(r.Dst)), e))
	})
}

// clamp32 makes what is too large for the engine something that it refuses.
func clamp32(n int) uint32 { return uint32(min(n, math.MaxUint32)) }
