package clipgo

import (
	_ "github.com/ebitengine/purego"
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/require"
	_ "github.com/urfave/cli/v2"
	_ "golang.org/x/image/bmp"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/text/unicode/norm"
)
