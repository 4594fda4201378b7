package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// remoteFile is a file as the server describes it.
type remoteFile struct {
	name string
	etag string // names the blob: sha256 of a large file, git's SHA-1 of a small one
	size int64  // -1: not said
	part int64  // what an earlier attempt left
}

// Sizes that no file of a model comes near, and what may not be counted in bytes without an overflow.
const (
	maxWeights = 1 << 40
	maxOther   = 256 << 20
)

// sizeLimit is for a file of this name.
func sizeLimit(name string) int64 {
	switch path.Ext(name) {
	case ".safetensors", ".bin", ".pt", ".pth", ".npz", ".gguf":
		return maxWeights
	}
	return maxOther
}

// Fetch makes sure that files of a snapshot lie in its folder. Files that are there, or whose content is in the cache, aren't
// downloaded. Each appears whole, after its hash was compared; what an error or ctx cuts off stays, and the next call goes
// on from there.
func (c *Client) Fetch(ctx context.Context, s *Snapshot, files []string) error {
	var missing []string
	for _, name := range files {
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsRune(name, '\\') {
			return fmt.Errorf("%s: %.200q is no name for a file here", s.Repo, name)
		}
		if !isFile(filepath.Join(s.Dir, filepath.FromSlash(name))) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 && s.Local {
		return fmt.Errorf("%s: %s isn't in %s, and can't be downloaded now", s.Repo, missing[0], s.Dir)
	}
	if len(missing) == 0 {
		if !s.Local {
			// Nothing needs to be written: the cache may be one that can't be.
			_ = WriteRef(c.repoDir(s.Repo), s.Revision, s.Commit)
		}
		return nil
	}
	if err := c.start(); err != nil {
		return err
	}
	var download []remoteFile
	m := &meter{report: c.Progress}
	for _, name := range missing {
		f, err := c.describe(ctx, s, name)
		if err != nil {
			return err
		}
		if blob := c.blobPath(s.Repo, f.etag); hasSize(blob, f.size) {
			if err := c.link(blob, filepath.Join(s.Dir, filepath.FromSlash(name)), false); err != nil {
				return fmt.Errorf("%s: %w", s.Repo, err)
			}
			continue
		}
		f.part = c.partial(s, f)
		m.total += max(f.size, 0)
		m.done += f.part
		download = append(download, f)
	}
	if free, ok := freeSpace(c.Cache); ok && m.total-m.done > free {
		return fmt.Errorf("%s: no space left for it: it needs %.1f MB, but the disk of %s has only %.1f MB free; make room, or set $HF_HUB_CACHE to another disk",
			s.Repo, float64(m.total-m.done)/1e6, c.Cache, float64(free)/1e6)
	}
	if len(download) > 0 {
		c.notice(fmt.Sprintf("%s: downloading %d of its %d files, %.1f MB, from %s", s, len(download), len(s.Files), max(0.1, float64(m.total-m.done)/1e6), c.base.Host))
	}
	m.add(0)
	for _, f := range download {
		if err := c.fetch(ctx, s, f, m); err != nil {
			return err
		}
	}
	c.tagCache()
	if err := WriteRef(c.repoDir(s.Repo), s.Revision, s.Commit); err != nil {
		return fmt.Errorf("%s: %w", s.Repo, err)
	}
	return nil
}

// meter counts bytes of several files.
type meter struct {
	done, total int64
	report      func(done, total int64)
}

func (m *meter) add(n int64) {
	m.done += n
	if m.report != nil && m.total > 0 {
		m.report(m.done, m.total)
	}
}

// address is where a file of a snapshot can be had.
func (c *Client) address(s *Snapshot, name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return c.Endpoint + "/" + s.Repo + "/resolve/" + s.Commit + "/" + strings.Join(parts, "/")
}

// describe asks for a file's hash and size.
func (c *Client) describe(ctx context.Context, s *Snapshot, name string) (remoteFile, error) {
	f := remoteFile{name: name}
	about := subject{s.Repo, s.Commit, name}
	err := c.retry(ctx, func() (bool, error) {
		ctx, cancel := c.limited(ctx, about)
		defer cancel()
		// Large files lie on another server: the redirect to it says what they are, and the other server needn't.
		response, err := c.send(ctx, about, http.MethodHead, c.address(s, name), nil, func(r *http.Response) bool {
			return r.StatusCode < http.StatusBadRequest && r.Header.Get("X-Linked-Etag") != ""
		})
		if err != nil {
			return false, err
		}
		response.Body.Close()
		f.etag, f.size, err = parseDescription(response.Header, response.StatusCode/100 == 2, sizeLimit(name))
		if err != nil {
			err = fmt.Errorf("%s: %w", about, err)
		}
		return false, err
	})
	var gone *noEntry
	if errors.As(err, &gone) {
		c.markMissing(s, name)
	}
	return f, err
}

// parseDescription reads the headers of an answer; whole says whether it is the file itself and no redirect to it.
func parseDescription(h http.Header, whole bool, limit int64) (etag string, size int64, err error) {
	etag, length := h.Get("X-Linked-Etag"), h.Get("X-Linked-Size")
	if etag == "" {
		etag = h.Get("ETag")
	}
	etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if !etagPattern.MatchString(etag) || strings.HasSuffix(etag, incomplete) {
		return "", 0, fmt.Errorf("the server calls its content %.200q, expected a hash as its ETag; is $HF_ENDPOINT right?", etag)
	}
	if length == "" && whole {
		length = h.Get("Content-Length")
	}
	if length == "" {
		return etag, -1, nil
	}
	size, err = strconv.ParseInt(length, 10, 64)
	if err != nil || size < 0 || size > limit {
		return "", 0, fmt.Errorf("the server says that it has %.40q bytes, expected at most %d", length, limit)
	}
	return etag, size, nil
}
