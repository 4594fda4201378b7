// Package cachedir says where clipgo keeps what it could make again: the engine's file, converted models, embeddings of
// labels, packed weights.
package cachedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Env is the environment variable that names the folder, or is "off".
const Env = "CLIPGO_CACHE"

// ErrOff is Root's error where the user wants no cache.
var ErrOff = errors.New("caches are off: $" + Env + " is off")

// Root returns the absolute path of the folder: $CLIPGO_CACHE, or clipgo in the user's cache folder ($XDG_CACHE_HOME, else
// ~/.cache; ~/Library/Caches on macOS). It may not exist yet.
func Root() (string, error) {
	switch dir := os.Getenv(Env); dir {
	case "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding the cache folder: %w; name one in $%s", err, Env)
		}
		return filepath.Join(dir, "clipgo"), nil
	case "off":
		return "", ErrOff
	default:
		return filepath.Abs(dir)
	}
}
