package preprocess

import (
	"fmt"
	"math"
	"strconv"

	"github.com/clipgo/clipgo/internal/imageio"
)

// Pixels are the pixel values of one picture.
type Pixels struct {
	Values  []float32
	Shape   []int  // of Values: [3, height, width]; NaFlex: [MaxPatches, Patch*Patch*3], patches row by row, inside one [y, x, channel]
	Patches [2]int // NaFlex: how many patches down and across; the rows of Values after them are 0
}

// Apply computes the pixel values of a picture, upright. A large one is resized on all processors, by r, or in Go where r is nil.
func (s Spec) Apply(p *imageio.Picture, r Resampler) (Pixels, error) {
	if err := s.Validate(); err != nil {
		return Pixels{}, err
	}
	small, err := s.Resized(p, r)
	if err != nil {
		return Pixels{}, err
	}
	table := s.levels()
	if s.Resize == NaFlex {
		out := Pixels{Shape: []int{s.MaxPatches, 3 * s.Patch * s.Patch}, Patches: [2]int{small.H / s.Patch, small.W / s.Patch}}
		out.Values = make([]float32, out.Shape[0]*out.Shape[1])
		patches(out.Values, small, s.Patch, table)
		return out, nil
	}
	n := small.W * small.H
	out := Pixels{Values: make([]float32, 3*n), Shape: []int{3, small.H, small.W}}
	for c := range 3 {
		plane, values := out.Values[c*n:(c+1)*n], &table[c]
		for i := range plane {
			plane[i] = values[small.Pix[3*i+c]]
		}
	}
	return out, nil
}

// Resized is the picture as Apply sees it before it computes floats: resized, cropped or padded, RGB.
func (s Spec) Resized(p *imageio.Picture, r Resampler) (imageio.RGB, error) {
	if p.W < 1 || p.H < 1 {
		return imageio.RGB{}, fmt.Errorf("a picture of %d x %d pixels", p.W, p.H)
	}
	srcW, srcH := p.Orientation.Size(p.W, p.H)
	h, w := s.targetSize(srcH, srcW)
	y, x := axis{size: h, out: h}, axis{size: w, out: w}
	if s.Crop {
		y, x = s.cropAxis(h, s.CropHeight), s.cropAxis(w, s.CropWidth)
	}
	tooLarge := x.out > maxPixels/y.out
	if s.Backend == Libvips {
		tooLarge = w > maxPixels/h // the places of cropped pixels are counted too
	}
	if tooLarge {
		return imageio.RGB{}, fmt.Errorf("a picture of %d x %d pixels would be resized to %d x %d: more than %d pixels",
			srcW, srcH, w, h, maxPixels)
	}
	z := resizer{s.Backend, s.Filter, r}
	if s.ConvertLast {
		small, err := z.resizeOwnMode(p, h, w, y, x, s.Fill)
		if err != nil {
			return imageio.RGB{}, err
		}
		return small.ToRGB(), nil
	}
	rgb := s.toRGB(p)
	small, err := z.resize(rasterOf(rgb.Pix, rgb.W, rgb.H, 3), p.Orientation, w, h, x.window(), y.window())
	if err != nil {
		return imageio.RGB{}, err
	}
	return imageio.RGB{Pix: pad(small, x, y, s.Fill).pix, W: x.out, H: y.out}, nil
}

// toRGB converts as Pillow does; libvips takes the high byte of 16-bit grey, which Pillow clips.
func (s Spec) toRGB(p *imageio.Picture) imageio.RGB {
	if s.Backend == Libvips && p.Mode == imageio.Grey16 {
		high := &imageio.Picture{Mode: imageio.Grey, W: p.W, H: p.H, Pix: make([]byte, p.W*p.H), Orientation: p.Orientation}
		for i := range high.Pix {
			high.Pix[i] = p.Pix[2*i+1]
		}
		p = high
	}
	return p.ToRGB()
}

// targetSize is the size that a picture of h x w is resized to.
func (s Spec) targetSize(h, w int) (th, tw int) {
	switch s.Resize {
	case Exact:
		return s.Height, s.Width
	case Shortest:
		longSide := longSide
		if s.Backend == Libvips {
			longSide = jsLongSide
		}
		if w <= h {
			return longSide(s.Height, h, w), s.Height
		}
		return s.Height, longSide(s.Height, w, h)
	case Bounded:
		return boundedSize(s.Height, s.Width, h, w)
	case Within:
		scale := min(float64(s.Height)/float64(h), float64(s.Width)/float64(w))
		return max(1, int(float64(h)*scale)), max(1, int(float64(w)*scale))
	case Cover, Fit:
		ratio := min(float64(h)/float64(s.Height), float64(w)/float64(s.Width))
		if s.Resize == Fit {
			ratio = max(float64(h)/float64(s.Height), float64(w)/float64(s.Width))
		}
		return max(1, int(math.RoundToEven(float64(h)/ratio))), max(1, int(math.RoundToEven(float64(w)/ratio)))
	case NaFlex:
		return naflexSize(h, w, s.Patch, s.MaxPatches)
	}
	return h, w
}

// FastSide is how many pixels the short side of a picture must keep when it is decoded smaller than it is, 0 if it may not be: one
// and a half times the side that it is resized to, so that the resize still has something to choose from.
func (s Spec) FastSide() int {
	switch s.Resize {
	case Exact, Cover, Fit, Shortest:
		return (3*max(s.Height, s.Width) + 1) / 2
	}
	return 0 // the number of patches, or the size, is that of the whole picture
}

// boundedSize is the size of a picture of h x w whose short side becomes short, or as much less as makes the long side at most
// long (transformers' get_size_with_aspect_ratio).
func boundedSize(short, long, h, w int) (th, tw int) {
	least, most := float64(min(h, w)), float64(max(h, w))
	size, exact := short, float64(short)
	if most/least*exact > float64(long) {
		exact = float64(long) * least / most
		size = max(1, int(math.RoundToEven(exact)))
	}
	switch {
	case min(h, w) == size:
		return h, w
	case w < h:
		return max(1, int(exact*float64(h)/float64(w))), size
	}
	return size, max(1, int(exact*float64(w)/float64(h)))
}

// longSide is int(size * long / short) in double precision.
func longSide(size, long, short int) int {
	return int(float64(size*long) / float64(short))
}

// axis says which part of a resized axis is kept, and where it goes.
type axis struct {
	size int // resized
	crop int // first sample kept
	pad  int // samples of padding before
	out  int // samples in the result
}

// window is the part of the resized axis that is kept.
func (a axis) window() span { return span{a.crop, a.crop + min(a.size, a.out)} }

func (s Spec) cropAxis(size, out int) axis {
	a := axis{size: size, out: out}
	switch d := size - out; {
	case d >= 0 && s.CropRule == CropTorchvision:
		a.crop = int(math.RoundToEven(float64(d) / 2))
	case d >= 0:
		a.crop = d / 2
	case s.CropRule == CropHF:
		a.pad = (1 - d) / 2
	default:
		a.pad = -d / 2
	}
	return a
}

// pad puts r at its place in a picture of x.out x y.out filled with v.
func pad(r raster, x, y axis, v byte) raster {
	if r.w == x.out && r.h == y.out {
		return r.packed()
	}
	out := newRaster(x.out, y.out, r.n)
	if v != 0 {
		for i := range out.pix {
			out.pix[i] = v
		}
	}
	for i := range r.h {
		copy(out.row(y.pad + i)[x.pad*r.n:], r.row(i))
	}
	return out
}

// levels tabulates what each byte becomes in each channel. The conversions to float32 keep the compiler from fusing operations.
func (s Spec) levels() *[3][256]float32 {
	var table [3][256]float32
	for c := range 3 {
		mean, std := s.Mean[c], s.Std[c]
		fused := s.Arithmetic == Fused && s.Rescale && s.Normalize && !s.Offset
		if fused {
			mean = float32(mean * float32(1/s.Factor))
			std = float32(std * float32(1/s.Factor))
		}
		for x := range 256 {
			v := float32(x)
			if s.Rescale && !fused {
				switch s.Arithmetic {
				case NumPy, JavaScript:
					v = float32(float64(x) * s.Factor)
				case Fused:
					v = float32(v * float32(s.Factor))
				case ToTensor:
					v = float32(v / float32(1/s.Factor))
				}
				if s.Offset {
					v--
				}
			}
			if s.Normalize && s.Arithmetic == JavaScript {
				v = float32((float64(v) - decimal(mean)) / decimal(std))
			} else if s.Normalize {
				v = float32(v-mean) / std
			}
			if s.NormalizeTwice {
				v /= s.Std[c]
			}
			table[c][x] = v
		}
	}
	return &table
}

// openAIDecimals are CLIP's mean and std as configurations write them: with a digit more than a float32 needs.
var openAIDecimals = []float64{0.48145466, 0.4578275, 0.40821073, 0.26862954, 0.26130258, 0.27577711}

// decimal is the number in double precision that a configuration with x in it most likely says.
func decimal(x float32) float64 {
	for _, v := range openAIDecimals {
		if float32(v) == x {
			return v
		}
	}
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64) // what was printed can be read
	return v
}
