// Package hub downloads files of models from the Hugging Face Hub into Hugging Face's own cache, so that what Python's
// huggingface_hub has downloaded isn't downloaded again, and the other way round.
//
// A client asks twice: [Client.Snapshot] tells which commit a revision is and which files it has, [Client.Fetch] brings
// those that are wanted. Nothing that the server says is trusted with more than an error: names that lead out of the
// cache are refused, sizes and answers are bounded, and every file is compared with the hash that names it.
//
// # The cache
//
//	HUB/models--ORG--NAME/refs/REVISION           the commit that a branch or tag was last seen at
//	HUB/models--ORG--NAME/blobs/ETAG              the contents, each once, under its hash
//	HUB/models--ORG--NAME/snapshots/COMMIT/PATH   links to them, or copies where there are no links
//	HUB/models--ORG--NAME/.no_exist/COMMIT/PATH   files that were asked for and aren't there
//	HUB/.locks/models--ORG--NAME/ETAG.lock        held while a blob is written
//
// as https://huggingface.co/docs/huggingface_hub/guides/manage-cache has it. A blob may itself be a link, to a store
// that all repositories share. Beside a blob that is being downloaded lies ETAG.clipgo.incomplete, from which the next
// attempt goes on. huggingface_hub's own unfinished files are not resumed: today each download has one of its own,
// ETAG.XXXXXXXX.incomplete; only versions before 2 left an ETAG.incomplete, which is taken over.
package hub

import (
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Client talks to one server. Set the fields before the first call; a Client may then be used by one goroutine at a time.
type Client struct {
	Endpoint string        // of the server, without a slash at its end: https://huggingface.co
	Token    string        // sent to the endpoint and nowhere else; "": none
	Cache    string        // HUB above
	Offline  bool          // never ask the server
	NoLinks  bool          // put files into snapshots instead of links
	Timeout  time.Duration // without an answer, or without a byte of it; 0: ten seconds
	// Notice, if not nil, is told what takes time and what is done instead of what was asked for: one line, no full stop.
	Notice func(text string)
	// Progress, if not nil, is told how many bytes of the files that Fetch brings are there, at first those that lay there
	// already. It may go down, when a server can't go on where it stopped.
	Progress func(done, total int64)

	once    sync.Once
	http    *http.Client
	base    *url.URL // Endpoint
	reached bool     // the server has answered
	pause   time.Duration
}

// Snapshot is a commit of a repository.
type Snapshot struct {
	Repo     string // ORG/NAME
	Revision string // what was asked for: a branch, a tag or a commit
	Commit   string
	Dir      string   // where its files lie once they are fetched
	Files    []string // sorted paths; without the server those that lie in Dir
	Local    bool     // found without the server
}

// String names the snapshot in messages.
func (s *Snapshot) String() string {
	name := Name{Repo: s.Repo, Revision: s.Revision}.String()
	if s.Local {
		name += ", of which only what lies in " + s.Dir + " is known without the Hub"
	}
	return name
}

func (c *Client) notice(text string) {
	if c.Notice != nil {
		c.Notice(text)
	}
}
