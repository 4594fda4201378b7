package clipgo

import (
	"context"
	"fmt"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/quantize"
)

// observed is a tower that also gives the inputs of its matrix products.
type observed struct {
	runner *engine.Runner
	inputs []observedInput
}

// observedInput is a value, and the weights that are multiplied with it.
type observedInput struct {
	output  int // index among the outputs
	width   int
	tensors []string
}

// ObserveImage runs a picture through the image tower and adds the inputs of every matrix product to an importance matrix.
// The model should have float weights: what is seen through quantised ones is coarser than what will be.
func (m *Model) ObserveImage(ctx context.Context, image *Image, im *quantize.Imatrix) error {
	pixels, err := m.Processor().Pixels(image)
	if err != nil {
		return err
	}
	return m.busy(ctx, func() error {
		tower, err := m.observedImage.get(func() (*observed, error) { return m.observe(m.arch.ImageProgram) })
		if err != nil {
			return err
		}
		rows, inputs, err := m.imageInputs(pixels, 0, 1)
		if err != nil {
			return err
		}
		return tower.run(ctx, rows, inputs, im)
	})
}

// ObserveText does the same with a text and the text tower. The text is taken as it is.
func (m *Model) ObserveText(ctx context.Context, text string, im *quantize.Imatrix) error {
	tokens, err := m.Processor().Tokens(text)
	if err != nil {
		return err
	}
	return m.busy(ctx, func() error {
		tower, err := m.observedText.get(func() (*observed, error) { return m.observe(m.arch.TextProgram) })
		if err != nil {
			return err
		}
		var mask []int32
		if tokens.Mask != nil {
			mask = tokens.Mask[0]
		}
		row, err := newTextRow(m.arch.Text, 0, tokens.IDs[0], mask)
		if err != nil {
			return err
		}
		b := newTextBatch(newTextGroup([]textRow{row}, 0), textRows)
		return tower.run(ctx, b.width, b.inputs(), im)
	})
}

// observe makes the values that matrix products read outputs of a tower's program.
func (m *Model) observe(compile func(*gguf.File) (*program.Program, error)) (*observed, error) {
	p, err := compile(m.file)
	if err != nil {
		return nil, err
	}
	tensors := map[int32][]string{} // of each value that is multiplied
	for _, op := range p.Ops {
		if op.Kind != program.Linear {
			continue
		}
		x := op.Src[0]
		if p.Values[x].Role == program.Input {
			continue // patches that come from outside are pixels: their columns matter alike
		}
		for _, w := range op.W[:op.I[1]] {
			name := p.Tensors[w].Name
			// A convolution's kernel is stored in rows of its own width, too short for blocks: nobody will ask for it.
			if info, ok := m.file.Tensor(name); ok && info.Dims[0] == uint64(p.Values[x].Width) {
				p.Values[x].Role = program.Output
				tensors[x] = append(tensors[x], name)
			}
		}
	}
	o := &observed{}
	outputs := 0
	for i, v := range p.Values {
		if v.Role != program.Output {
			continue
		}
		if names := tensors[int32(i)]; names != nil {
			o.inputs = append(o.inputs, observedInput{outputs, v.Width, names})
		}
		outputs++
	}
	if o.runner, err = m.engine.Prepare(m.file, p, engine.PrepareOptions{}); err != nil {
		return nil, fmt.Errorf("observing the products: %w", err)
	}
	return o, nil
}

func (o *observed) run(ctx context.Context, rows int, inputs []engine.Input, im *quantize.Imatrix) error {
	outputs, err := o.runner.Run(ctx, 1, rows, inputs...)
	if err != nil {
		return err
	}
	for _, in := range o.inputs {
		for _, name := range in.tensors {
			if err := im.Add(name, outputs[in.output], in.width); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *observed) close() error {
	if o == nil {
		return nil
	}
	return o.runner.Close()
}
