package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clipgo/clipgo/internal/filelock"
)

// incomplete ends the names of files that are being downloaded. Ours have one that no other program writes to, on file
// systems without locks either.
const (
	incomplete    = ".incomplete"
	ourIncomplete = ".clipgo" + incomplete
)

// partial returns how much of a file an earlier attempt left.
func (c *Client) partial(s *Snapshot, f remoteFile) int64 {
	blob := c.blobPath(s.Repo, f.etag)
	for _, suffix := range []string{ourIncomplete, incomplete} {
		if info, err := os.Stat(blob + suffix); err == nil && info.Size() <= f.size {
			return info.Size()
		}
	}
	return 0
}

// fetch downloads a file, unless another process does while this one waits, and links it into the snapshot.
func (c *Client) fetch(ctx context.Context, s *Snapshot, f remoteFile, m *meter) error {
	about := subject{s.Repo, s.Commit, f.name}
	blob := c.blobPath(s.Repo, f.etag)
	if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
		return fmt.Errorf("%s: %w", about, err)
	}
	lock, err := filelock.Acquire(ctx, c.lockPath(s.Repo, f.etag), func() {
		c.notice(fmt.Sprintf("%s: another process downloads it; waiting", about))
	})
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%s: locking it: %w", about, err)
		}
		return err
	}
	defer lock.Release()
	path := filepath.Join(s.Dir, filepath.FromSlash(f.name))
	if isFile(path) { // without links, the other process has moved the blob there
		m.add(max(f.size, 0) - f.part)
		return nil
	}
	fresh := !hasSize(blob, f.size)
	if fresh {
		d := &download{client: c, about: about, address: c.address(s, f.name), file: f, meter: m, counted: f.part}
		if err := d.run(ctx, blob); err != nil {
			return err
		}
	} else {
		m.add(max(f.size, 0) - f.part)
	}
	if err := c.link(blob, path, fresh); err != nil {
		return fmt.Errorf("%s: %w", about, err)
	}
	return nil
}

// download is a file on its way.
type download struct {
	client  *Client
	about   subject
	address string
	file    remoteFile
	meter   *meter
	counted int64 // bytes of this file that the meter knows of

	part *os.File
	have int64 // bytes in part
}

func (d *download) run(ctx context.Context, blob string) (err error) {
	part := blob + ourIncomplete
	if _, err := os.Stat(part); err != nil {
		_ = os.Rename(blob+incomplete, part) // of huggingface_hub before 2, which locked as we do
	}
	if d.part, err = os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return fmt.Errorf("%s: %w", d.about, err)
	}
	defer d.part.Close()
	if d.have, err = d.part.Seek(0, io.SeekEnd); err != nil {
		return d.diskError(err)
	}
	resumed := d.have > 0
	d.count()
	for {
		if err := d.client.retry(ctx, func() (bool, error) { return d.attempt(ctx) }); err != nil {
			return err
		}
		err := verify(d.part, d.file.etag)
		if err == nil {
			break
		}
		var damaged *damagedError
		if !errors.As(err, &damaged) {
			return d.diskError(err)
		}
		if err := d.restart(); err != nil {
			return err
		}
		if !resumed {
			d.part.Close()
			os.Remove(part)
			return fmt.Errorf("%s: %w; it is deleted, download it again", d.about, err)
		}
		d.client.notice(fmt.Sprintf("%s: %v; starting from its beginning", d.about, err))
		resumed = false
	}
	if err := d.part.Sync(); err != nil {
		return d.diskError(err)
	}
	if err := d.part.Close(); err != nil {
		return d.diskError(err)
	}
	if err := os.Rename(part, blob); err != nil {
		return fmt.Errorf("%s: %w", d.about, err)
	}
	return nil
}

// count brings the meter up to date.
func (d *download) count() {
	d.meter.add(d.have - d.counted)
	d.counted = d.have
}

// restart forgets what is there.
func (d *download) restart() error {
	d.have = 0
	d.count()
	if err := d.part.Truncate(0); err != nil {
		return d.diskError(err)
	}
	_, err := d.part.Seek(0, io.SeekStart)
	return err
}

func (d *download) diskError(err error) error {
	err = fmt.Errorf("%s: %w", d.about, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w; make room and try again, what is there is kept", err)
	}
	return err
}

// attempt asks for what is missing, and returns whether some of it came.
func (d *download) attempt(ctx context.Context) (moved bool, err error) {
	if d.file.size >= 0 && d.have > d.file.size {
		if err := d.restart(); err != nil {
			return false, err
		}
	}
	if d.have == d.file.size {
		return false, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	if d.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	response, err := d.client.send(ctx, d.about, http.MethodGet, d.address, header, func(r *http.Response) bool {
		return r.StatusCode == http.StatusRequestedRangeNotSatisfiable
	})
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if e := response.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return false, fmt.Errorf("%s: %s sends it compressed, which nobody asked for", d.about, response.Request.URL.Host)
	}
	size, err := d.begin(response)
	if err != nil {
		return false, err
	}
	from := d.have
	err = d.copy(ctx, cancel, response.Body, size)
	return d.have > from, err
}

// begin prepares for an answer, which may be the whole file although a part was asked for, and returns the file's size.
func (d *download) begin(r *http.Response) (size int64, err error) {
	first, size := int64(0), r.ContentLength
	switch r.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		first, size, err = parseContentRange(r.Header.Get("Content-Range"))
	default:
		err = fmt.Errorf("it answers %d", r.StatusCode)
	}
	known, limit := d.file.size, sizeLimit(d.file.name)
	switch {
	case err != nil:
	case first != 0 && first != d.have:
		err = fmt.Errorf("it goes on at byte %d", first)
	case known >= 0 && size >= 0 && size != known:
		err = fmt.Errorf("it has %d bytes there, expected %d", size, known)
	}
	if err != nil {
		err = &temporary{err: fmt.Errorf("%s: %s was asked for all from byte %d: %w", d.about, r.Request.URL.Host, d.have, err)}
	}
	if (err != nil || first == 0) && d.have > 0 {
		if err := d.restart(); err != nil {
			return 0, err
		}
	}
	switch {
	case err != nil:
		return 0, err
	case known >= 0:
		return known, nil
	case size < 0:
		return 0, fmt.Errorf("%s: %s doesn't say how large it is; is $HF_ENDPOINT right?", d.about, r.Request.URL.Host)
	case size > limit:
		return 0, fmt.Errorf("%s: %s sends %d bytes, expected at most %d", d.about, r.Request.URL.Host, size, limit)
	}
	d.file.size = size
	d.meter.total += size
	return size, nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE"; size -1 where it is an asterisk.
func parseContentRange(s string) (first, size int64, err error) {
	span, total, found := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	begin, end, found2 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(begin, 10, 64)
	last, err2 := strconv.ParseInt(end, 10, 64)
	size = -1
	if total != "*" {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	if !found || !found2 || err != nil || err1 != nil || err2 != nil || first < 0 || last < first || size != -1 && last >= size {
		return 0, 0, fmt.Errorf("its Content-Range is %.80q, expected bytes FIRST-LAST/SIZE", s)
	}
	return first, size, nil
}

// copy appends an answer's body to what is there.
func (d *download) copy(ctx context.Context, cancel context.CancelCauseFunc, body io.Reader, size int64) error {
	// A connection may stand still for ever without an error.
	stalled := fmt.Errorf("no data for %s", d.client.Timeout)
	timer := time.AfterFunc(d.client.Timeout, func() { cancel(stalled) })
	defer timer.Stop()
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		timer.Reset(d.client.Timeout)
		if int64(n) > size-d.have {
			return fmt.Errorf("%s: the server sends more than the %d bytes that it has", d.about, size)
		}
		written, writeErr := d.part.Write(buf[:n])
		d.have += int64(written)
		d.count()
		if writeErr != nil {
			return d.diskError(writeErr)
		}
		switch {
		case err == io.EOF && d.have == size:
			return nil
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		case err == nil:
			continue
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if ctx.Err() != nil && err != stalled {
			return err // the caller's, who gave up
		}
		return &temporary{err: fmt.Errorf("%s: cut off after %d of %d bytes: %w", d.about, d.have, size, err)}
	}
}

// damagedError says that a file isn't what its name says.
type damagedError struct{ kind, got, want string }

func (e *damagedError) Error() string {
	return fmt.Sprintf("its %s is %s, expected %s: it was damaged on the way", e.kind, e.got, e.want)
}

// verify compares a file with the hash that an ETag is: the sha256 of its content, or the SHA-1 that git names it by.
// (Mirrors without git, such as Artifactory, have the SHA-1 of the bare content.) Of other ETags nothing is known. It reads
// what lies on the disk, so that what an earlier process wrote is verified too.
func verify(f *os.File, etag string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want, err := hex.DecodeString(etag)
	if err != nil {
		return nil
	}
	blob := fmt.Sprintf("blob %d\x00", info.Size())
	var kind, got string
	for _, scheme := range []struct {
		kind, prefix string
		new          func() hash.Hash
	}{{"sha256", "", sha256.New}, {"SHA-1", "", sha1.New}, {"git SHA-1", blob, sha1.New}} {
		h := scheme.new()
		if h.Size() != len(want) {
			continue
		}
		io.WriteString(h, scheme.prefix)
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, info.Size())); err != nil {
			return err
		}
		sum := h.Sum(nil)
		if bytes.Equal(sum, want) {
			return nil
		}
		kind, got = scheme.kind, hex.EncodeToString(sum)
	}
	if kind == "" {
		return nil
	}
	return &damagedError{kind, got, etag}
}
