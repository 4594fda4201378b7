package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects  = 10
	maxFailures   = 6 // without a byte between them
	maxRetryAfter = 10 * time.Minute
	maxPause      = 20 * time.Second
)

// start fills in what the fields leave open.
func (c *Client) start() (err error) {
	c.once.Do(func() {
		if c.Timeout == 0 {
			c.Timeout = 10 * time.Second
		}
		if c.pause == 0 {
			c.pause = 500 * time.Millisecond
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DialContext = (&net.Dialer{Timeout: c.Timeout}).DialContext
		transport.ResponseHeaderTimeout = c.Timeout
		transport.DisableCompression = true // sizes and hashes are those of the files
		c.http = &http.Client{
			Transport: transport,
			// send follows redirects itself: package http would send the token on to subdomains.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	if c.base, err = url.Parse(c.Endpoint); err != nil || c.base.Host == "" || c.base.Scheme != "https" && c.base.Scheme != "http" {
		return fmt.Errorf("$HF_ENDPOINT is %.100q, expected an address such as %s", c.Endpoint, defaultEndpoint)
	}
	return nil
}

// subject is what a request is about, for messages.
type subject struct {
	repo, revision string
	file           string // "": the repository
}

func (s subject) String() string {
	if s.file != "" {
		return s.repo + ": " + s.file
	}
	return s.repo
}

// send makes a request and follows redirects, without the token once they have led away from the endpoint. It returns the
// answer that enough takes, or else the first that is no redirect; an answer that is no success is an error.
func (c *Client) send(ctx context.Context, about subject, method, address string, header http.Header, enough func(*http.Response) bool) (*http.Response, error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	home := true // no redirect has led away
	for range maxRedirects {
		request, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("%s: redirected to %.200q: %w", about, at, err)
		}
		for key, values := range header {
			request.Header[key] = values
		}
		request.Header.Set("User-Agent", "clipgo")
		request.Header.Set("Accept-Encoding", "identity")
		if home = home && at.Scheme == c.base.Scheme && at.Host == c.base.Host; home && c.Token != "" {
			request.Header.Set("Authorization", "Bearer "+c.Token)
		}
		response, err := c.http.Do(request)
		if err != nil {
			return nil, c.networkError(ctx, about, at.Host, err)
		}
		c.reached = true
		next, err := response.Location()
		redirect := response.StatusCode/100 == 3 && err == nil
		switch {
		case enough != nil && enough(response), response.StatusCode/100 == 2:
			return response, nil
		case redirect:
			response.Body.Close()
			at = next
		default:
			response.Body.Close()
			return nil, c.refusal(response, about, home)
		}
	}
	return nil, fmt.Errorf("%s: %d redirects, the last to %.200q; is $HF_ENDPOINT right?", about, maxRedirects, at)
}

// temporary is an error that may go away by itself.
type temporary struct {
	err         error
	after       time.Duration // as the server asked; 0: it didn't
	unreachable bool          // no connection to the server
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// limited gives a short answer a time in which it must be there.
func (c *Client) limited(ctx context.Context, about subject) (context.Context, context.CancelFunc) {
	limit := 6 * c.Timeout
	return context.WithTimeoutCause(ctx, limit, &temporary{err: fmt.Errorf("%s: no answer for %s", about, limit)})
}

// networkError is for a request without an answer.
func (c *Client) networkError(ctx context.Context, about subject, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf("%s: %s isn't trusted: %w; if a proxy of yours stands between, put its certificate into $SSL_CERT_FILE", about, host, err)
	}
	var dial *net.OpError
	var name *net.DNSError
	connected := !(errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "proxyconnect")) && !errors.As(err, &name)
	var timeout net.Error
	if connected && errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("no answer for %s", c.Timeout)
	}
	return &temporary{
		err:         fmt.Errorf("%s: %s can't be reached: %w", about, host, err),
		unreachable: true,
	}
}

// retry calls try until it succeeds, fails for good, or fails too often without getting further; moved says whether it did.
func (c *Client) retry(ctx context.Context, try func() (moved bool, err error)) error {
	for failures := 0; ; {
		moved, err := try()
		var t *temporary
		if err == nil || !errors.As(err, &t) {
			return err
		}
		if moved {
			failures = 0
		}
		failures++
		most := maxFailures
		if t.unreachable && !c.reached {
			most /= 2 // where there is no network at all, nobody wants to wait long
		}
		if failures >= most {
			if t.unreachable {
				err = fmt.Errorf("%w; is there a network, and are $HF_ENDPOINT and $HTTPS_PROXY right?", err)
			}
			return err
		}
		wait := min(c.pause<<(failures-1), maxPause)
		wait += rand.N(wait/4 + 1)
		if t.after > 0 {
			wait = t.after
		}
		if wait > maxRetryAfter {
			return fmt.Errorf("%w, and wants to be asked again in %s", err, wait.Round(time.Second))
		}
		c.notice(fmt.Sprintf("%v; trying again in %s", err, max(wait.Round(time.Second/10), time.Second/10)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// refusal says in words why an answer is no success. Of codes and messages the Hub has its own headers; what it answers for
// a repository that isn't there depends on whether a token was sent, so that nobody can find out about private ones.
func (c *Client) refusal(r *http.Response, about subject, home bool) error {
	status, code := r.StatusCode, r.Header.Get("X-Error-Code")
	host := r.Request.URL.Host
	token := "give a token in $HF_TOKEN, or log in with `hf auth login`"
	if c.Token != "" {
		token = "use a token that may read it (in $HF_TOKEN, or from `hf auth login`)"
	}
	page := c.Endpoint + "/" + about.repo
	answers := fmt.Errorf("%s: %s answers %d %s", about, host, status, http.StatusText(status))
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return &temporary{err: answers, after: retryAfter(r.Header, time.Now())}
	case !home:
		return &temporary{err: answers} // an address that is good for a time only may have expired
	case code == "GatedRepo":
		return fmt.Errorf("%s is gated (%d): accept its conditions at %s, then %s", about.repo, status, page, token)
	case r.Header.Get("X-Error-Message") == "Access to this resource is disabled.":
		return fmt.Errorf("%s has disabled access to %s (%d); see %s", host, about.repo, status, page)
	case code == "RevisionNotFound":
		return c.noRevision(about, status)
	case code == "EntryNotFound", status == http.StatusNotFound && about.file != "" && code != "RepoNotFound":
		return &noEntry{fmt.Errorf("%s has no file %q at revision %s (%d); see %s/tree/%s", about.repo, about.file, about.revision, status, page, about.revision)}
	case status == http.StatusNotFound && about.revision != DefaultRevision && code != "RepoNotFound":
		return c.noRevision(about, status)
	case status == http.StatusNotFound, code == "RepoNotFound", status == http.StatusUnauthorized && c.Token == "":
		return fmt.Errorf("%s has no model %s, or not for everybody (%d): check the name, or %s", host, about.repo, status, token)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s doesn't know the token that was given for %s (%d): make another at %s/settings/tokens, and put it into $HF_TOKEN",
			host, about.repo, status, c.Endpoint)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s refuses access to %s (%d): look at %s, and %s", host, about.repo, status, page, token)
	}
	return fmt.Errorf("%w, expected the file; is $HF_ENDPOINT right?", answers)
}

func (c *Client) noRevision(about subject, status int) error {
	return fmt.Errorf("%s has no revision %q (%d), neither a branch nor a tag nor a commit; see %s/%s/commits", about.repo, about.revision, status, c.Endpoint, about.repo)
}

// noEntry says that a file isn't in the repository.
type noEntry struct{ error }

// retryAfter says how long the server wants not to be asked: Retry-After, a number of seconds or a date, or where that is
// missing RateLimit, "policy";r=REQUESTS LEFT;t=SECONDS (draft-ietf-httpapi-ratelimit-headers). 0 without either.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		fields := strings.Split(strings.ReplaceAll(h.Get("RateLimit"), " ", ""), ";")
		for _, field := range fields {
			if seconds, ok := strings.CutPrefix(field, "t="); ok && slices.Contains(fields, "r=0") {
				value = seconds
			}
		}
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
