package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/clipgo/clipgo/internal/atomicfile"
)

// FolderName is what a repository's folder is called in a cache.
func FolderName(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

// RepoOf is the repository whose folder is called so.
func RepoOf(folder string) (repo string, ok bool) {
	rest, ok := strings.CutPrefix(folder, "models--")
	repo = strings.ReplaceAll(rest, "--", "/")
	return repo, ok && checkRepo(repo) == nil
}

func (c *Client) repoDir(repo string) string { return filepath.Join(c.Cache, FolderName(repo)) }

func (c *Client) snapshotDir(repo, commit string) string {
	return filepath.Join(c.repoDir(repo), "snapshots", commit)
}

func (c *Client) blobPath(repo, etag string) string {
	return filepath.Join(c.repoDir(repo), "blobs", etag)
}

func (c *Client) lockPath(repo, etag string) string {
	return filepath.Join(c.Cache, ".locks", FolderName(repo), etag+".lock")
}

// ReadRef returns the commit that the file refs/REVISION of a repository's folder names, or the revision if it is a commit.
func ReadRef(repoDir, revision string) (commit string, err error) {
	if isWholeCommit(revision) {
		return revision, nil
	}
	path := filepath.Join(repoDir, "refs", filepath.FromSlash(revision))
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 100))
	if err != nil {
		return "", err
	}
	if commit = strings.TrimSpace(string(data)); !isCommit(commit) {
		return "", fmt.Errorf("%s holds %.100q, expected a commit", path, commit)
	}
	return commit, nil
}

// WriteRef makes the file refs/REVISION say that the revision is a commit.
func WriteRef(repoDir, revision, commit string) error {
	if old, err := ReadRef(repoDir, revision); err == nil && old == commit {
		return nil
	}
	path := filepath.Join(repoDir, "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}

// cached finds a snapshot on the disk; fs.ErrNotExist where there is none.
func (c *Client) cached(repo, revision string) (*Snapshot, error) {
	commit, err := ReadRef(c.repoDir(repo), revision)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Repo: repo, Revision: revision, Commit: commit, Dir: c.snapshotDir(repo, commit), Local: true}
	err = filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.Dir, path)
		if err == nil && isFile(path) {
			s.Files = append(s.Files, filepath.ToSlash(rel))
		}
		return err
	})
	return s, err
}

// isFile follows links: a snapshot's lead to a blob, and a blob's to the store that repositories share.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// hasSize says whether a whole file is there; size -1 is any.
func hasSize(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && (size < 0 || info.Size() == size)
}

// link puts a blob into a snapshot. Where there are no links the file itself goes there: a fresh one is moved, any other may
// be another snapshot's too and is copied.
func (c *Client) link(blob, path string, fresh bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if !c.NoLinks {
		target, err := filepath.Rel(filepath.Dir(path), blob)
		if err != nil {
			return err
		}
		err = os.Symlink(target, path)
		if errors.Is(err, fs.ErrExist) {
			if isFile(path) { // another process was as fast
				return nil
			}
			if err = os.Remove(path); err == nil { // a link to a blob that is gone
				err = os.Symlink(target, path)
			}
		}
		if err == nil {
			return nil
		}
	}
	if fresh {
		return os.Rename(blob, path)
	}
	from, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer from.Close()
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// markMissing notes that a file isn't in the repository, so that transformers, which tries many names, needn't ask.
func (c *Client) markMissing(s *Snapshot, file string) {
	path := filepath.Join(c.repoDir(s.Repo), ".no_exist", s.Commit, filepath.FromSlash(file))
	if os.MkdirAll(filepath.Dir(path), 0o777) == nil {
		if f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666); err == nil {
			f.Close()
		}
	}
}

// tagCache tells programs that make backups that this is a cache (https://bford.info/cachedir/).
func (c *Client) tagCache() {
	f, err := os.OpenFile(filepath.Join(c.Cache, "CACHEDIR.TAG"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	io.WriteString(f, "Signature: 8a477f597d28d172789f06886806bc55\n# What is here can be downloaded again from the Hugging Face Hub.\n")
}

var etagPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.+=-]{0,149}$`)
