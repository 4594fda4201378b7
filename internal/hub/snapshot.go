package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
)

// maxListing bounds what the server says about a repository: the largest have 100,000 files.
const maxListing = 32 << 20

// Snapshot finds out which commit a revision is and which files it has. Where the server can't be reached, it returns what
// was downloaded before, as it also does when the client is offline.
func (c *Client) Snapshot(ctx context.Context, repo, revision string) (*Snapshot, error) {
	if err := checkRepo(repo); err != nil {
		return nil, err
	}
	if !validRevision(revision) {
		return nil, fmt.Errorf("%s: %.100q is no revision", repo, revision)
	}
	if c.Offline {
		s, err := c.cached(repo, revision)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s isn't in %s, and $HF_HUB_OFFLINE says not to download it", Name{Repo: repo, Revision: revision}, c.Cache)
		}
		return s, err
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	s := &Snapshot{Repo: repo, Revision: revision}
	about := subject{repo: repo, revision: revision}
	address := c.Endpoint + "/api/models/" + repo + "/revision/" + url.PathEscape(revision)
	err := c.retry(ctx, func() (bool, error) {
		data, err := c.getSmall(ctx, about, address)
		if err == nil {
			s.Commit, s.Files, err = parseListing(data)
		}
		return false, err
	})
	var t *temporary
	if errors.As(err, &t) {
		if s, cacheErr := c.cached(repo, revision); cacheErr == nil {
			c.notice(fmt.Sprintf("%v; using what %s has of %s", err, c.Cache, repo))
			return s, nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.Dir = c.snapshotDir(repo, s.Commit)
	return s, nil
}

// getSmall returns an answer of JSON.
func (c *Client) getSmall(ctx context.Context, about subject, address string) ([]byte, error) {
	ctx, cancel := c.limited(ctx, about)
	defer cancel()
	response, err := c.send(ctx, about, http.MethodGet, address, nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxListing+1))
	if err != nil {
		return nil, &temporary{err: fmt.Errorf("reading the list of files of %s: %w", about, err)}
	}
	if len(data) > maxListing {
		return nil, fmt.Errorf("the list of files of %s has more than %d bytes", about, maxListing)
	}
	return data, nil
}

// parseListing reads what the server says about a revision of a repository.
func parseListing(data []byte) (commit string, files []string, err error) {
	var listing struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Path string `json:"rfilename"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(data, &listing); err != nil {
		return "", nil, fmt.Errorf("the server's list of files can't be read: %w; is $HF_ENDPOINT right?", err)
	}
	if !isCommit(listing.SHA) {
		return "", nil, fmt.Errorf("the server's list of files is of commit %.100q, expected hexadecimal digits; is $HF_ENDPOINT right?", listing.SHA)
	}
	for _, s := range listing.Siblings {
		// git itself has no such paths.
		if !fs.ValidPath(s.Path) || s.Path == "." {
			return "", nil, fmt.Errorf("the server's list of files has %.200q, which isn't inside the repository", s.Path)
		}
		files = append(files, s.Path)
	}
	slices.Sort(files)
	return listing.SHA, slices.Compact(files), nil
}
