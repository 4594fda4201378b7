package arch

import (
	"fmt"

	"github.com/clipgo/clipgo/internal/program"
)

// activations are transformers' names, the first of each being the one that we write.
var activations = []struct {
	name string
	act  program.Activation
}{
	{"gelu", program.ActGELU},
	{"gelu_python", program.ActGELU},
	{"gelu_pytorch_tanh", program.ActGELUTanh},
	{"gelu_new", program.ActGELUTanh},
	{"gelu_fast", program.ActGELUTanh},
	{"quick_gelu", program.ActQuickGELU},
	{"relu", program.ActReLU},
	{"silu", program.ActSiLU},
	{"swish", program.ActSiLU},
	{"sigmoid", program.ActSigmoid},
	{"tanh", program.ActTanh},
	{"none", program.ActNone},
}

// ParseActivation returns the activation that transformers calls name.
func ParseActivation(name string) (program.Activation, error) {
	for _, a := range activations {
		if a.name == name {
			return a.act, nil
		}
	}
	return 0, fmt.Errorf("activation %q is not known", name)
}

func activationName(act program.Activation) string {
	for _, a := range activations {
		if a.act == act {
			return a.name
		}
	}
	return ""
}
