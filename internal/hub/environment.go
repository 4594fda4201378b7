package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const defaultEndpoint = "https://huggingface.co"

// FromEnvironment makes a client of the variables that huggingface_hub reads:
//
//	HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME    where the cache is, the first that is set
//	HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH                 the token, or the file that `hf auth login` wrote it to
//	HF_HUB_DISABLE_IMPLICIT_TOKEN                                   send none of them
//	HF_ENDPOINT, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, HF_HUB_DISABLE_SYMLINKS, HF_HUB_DOWNLOAD_TIMEOUT
//
// An empty variable counts as one that isn't set.
func FromEnvironment() (*Client, error) {
	home, err := home()
	if err != nil {
		return nil, err
	}
	c := &Client{
		Endpoint: defaultEndpoint,
		Cache:    filepath.Join(home, "hub"),
		Offline:  isTrue("HF_HUB_OFFLINE") || isTrue("TRANSFORMERS_OFFLINE"),
		NoLinks:  isTrue("HF_HUB_DISABLE_SYMLINKS"),
	}
	for _, name := range []string{"HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"} {
		if dir := os.Getenv(name); dir != "" {
			c.Cache = expand(dir)
		}
	}
	if c.Cache, err = filepath.Abs(c.Cache); err != nil {
		return nil, fmt.Errorf("finding Hugging Face's cache: %w", err)
	}
	if e := strings.TrimRight(os.Getenv("HF_ENDPOINT"), "/"); e != "" {
		c.Endpoint = e
	}
	if s := os.Getenv("HF_HUB_DOWNLOAD_TIMEOUT"); s != "" {
		seconds, err := strconv.Atoi(s)
		if err != nil || seconds < 1 || seconds > 1e6 {
			return nil, fmt.Errorf("$HF_HUB_DOWNLOAD_TIMEOUT is %.40q, expected a number of seconds", s)
		}
		c.Timeout = time.Duration(seconds) * time.Second
	}
	if !isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
		c.Token, err = token(home)
	}
	return c, err
}

// NoProgressBars says whether the user wants none: HF_HUB_DISABLE_PROGRESS_BARS.
func NoProgressBars() bool { return isTrue("HF_HUB_DISABLE_PROGRESS_BARS") }

func home() (string, error) {
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return expand(dir), nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(expand(dir), "huggingface"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding Hugging Face's cache: %w; set $HF_HOME", err)
	}
	return filepath.Join(user, ".cache", "huggingface"), nil // on every system
}

func token(home string) (string, error) {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := strings.TrimSpace(os.Getenv(name)); t != "" {
			return checkToken(t, "$"+name)
		}
	}
	path := filepath.Join(home, "token")
	if p := os.Getenv("HF_TOKEN_PATH"); p != "" {
		path = expand(p)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the Hub's token: %w", err)
	}
	return checkToken(strings.TrimSpace(string(data)), path)
}

// checkToken refuses what a header can't carry, without showing it.
func checkToken(t, source string) (string, error) {
	for _, r := range t {
		if r <= ' ' || r > '~' {
			return "", fmt.Errorf("the Hub's token in %s has a character that no token has (%U); set it again", source, r)
		}
	}
	return t, nil
}

func isTrue(name string) bool {
	switch strings.ToUpper(os.Getenv(name)) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// expand replaces a leading ~ and $VARIABLE, as huggingface_hub does; variables that aren't set stay as they are.
func expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if home, err := os.UserHomeDir(); err == nil {
			path = home + rest
		}
	}
	return os.Expand(path, func(name string) string {
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return "$" + name
	})
}
