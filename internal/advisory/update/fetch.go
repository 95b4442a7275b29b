package update

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxDownload bounds one file; the largest today is Red Hat's archive of some 300 MB.
	maxDownload = 8 << 30
	// maxWait is the longest a server may make us wait before the user is asked to.
	maxWait  = 2 * time.Minute
	attempts = 5
)

// validators identify a version of a file on a server.
type validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

func (v validators) known() bool { return v != validators{} }

// strong returns what If-Range may carry: a weak ETag does not promise equal bytes.
func (v validators) strong() string {
	if v.ETag != "" {
		if strings.HasPrefix(v.ETag, "W/") {
			return ""
		}
		return v.ETag
	}
	return v.LastModified
}

// fetcher downloads files.
type fetcher struct {
	client   *http.Client
	agent    string
	sleep    func(context.Context, time.Duration) error
	progress func(seawall.Progress)
}

// download is a file on its way: path is where it goes, partial what an earlier
// try left there and its validators.
type download struct {
	url, path string
	// have are the validators of the version already in the database; when the
	// server still has it, nothing is downloaded.
	have validators
	// partial are those of the bytes already in path, zero when there are none.
	partial validators
	// started is told the validators once a body begins, so that they can be
	// kept for resuming after a kill.
	started func(validators) error
}

// get fetches d.url into d.path. It resumes what is there, tries again where
// that can help, and returns the validators of what it got; current is true
// when the server says that d.have still holds.
func (f *fetcher) get(ctx context.Context, d download) (got validators, current bool, err error) {
	for attempt := 0; ; attempt++ {
		got, current, err = f.try(ctx, &d)
		var retry *retryError
		if err == nil || !errors.As(err, &retry) || attempt == attempts-1 {
			return got, current, err
		}
		wait := retry.after
		if wait == 0 {
			wait = time.Second << attempt
		}
		if wait > maxWait {
			return got, false, seawall.WithHint(err, fmt.Sprintf("the server asks to wait %s; run the update again then", wait.Round(time.Second)))
		}
		if err := f.sleep(ctx, wait); err != nil {
			return got, false, err
		}
	}
}

// errGone: the server has no such file.
var errGone = errors.New("not there")

// retryError is a failure that another try may mend.
type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

func (f *fetcher) try(ctx context.Context, d *download) (got validators, current bool, err error) {
	file, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return got, false, err
	}
	defer file.Close()
	offset, err := f.resumable(file, d)
	if err != nil {
		return got, false, err
	}
	response, err := f.request(ctx, d, offset)
	if err != nil {
		return got, false, err
	}
	defer response.Body.Close()
	got = validators{ETag: response.Header.Get("ETag"), LastModified: response.Header.Get("Last-Modified")}
	switch response.StatusCode {
	case http.StatusNotModified:
		return d.have, true, nil
	case http.StatusPartialContent:
		if !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
			return got, false, f.restart(file, d, errors.New("the server sent another part than asked for"))
		}
	case http.StatusOK:
		offset = 0
		if err := file.Truncate(0); err != nil {
			return got, false, err
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return got, false, f.restart(file, d, errors.New("the server refused to resume"))
	default:
		return got, false, statusError(d.url, response)
	}
	d.partial = got
	if d.started != nil {
		if err := d.started(got); err != nil {
			return got, false, err
		}
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return got, false, err
	}
	if err := f.copy(file, response, offset, d.url); err != nil {
		return got, false, err
	}
	return got, false, f.check(file, response.Header, d)
}

// resumable returns how many bytes of the file can be kept.
func (f *fetcher) resumable(file *os.File, d *download) (int64, error) {
	if d.partial.strong() == "" {
		return 0, file.Truncate(0)
	}
	return file.Seek(0, io.SeekEnd)
}

func (f *fetcher) request(ctx context.Context, d *download, offset int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUsage, err)
	}
	request.Header.Set("User-Agent", f.agent)
	// Without this the transport inflates bodies itself, and ranges and lengths mean something else.
	request.Header.Set("Accept-Encoding", "identity")
	switch {
	case offset > 0:
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		request.Header.Set("If-Range", d.partial.strong())
	case d.have.ETag != "":
		request.Header.Set("If-None-Match", d.have.ETag)
	case d.have.LastModified != "":
		request.Header.Set("If-Modified-Since", d.have.LastModified)
	}
	response, err := f.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		err = seawall.WithHint(fmt.Errorf("%w: %w", seawall.ErrUnreadable, err),
			"without a network, scans go on with the database at hand; `seawall db import FILE` installs one brought by other means")
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, err // nobody there: trying again at once is of no use
		}
		return nil, &retryError{err: err}
	}
	return response, nil
}

// restart drops what was there and asks for another try.
func (f *fetcher) restart(file *os.File, d *download, err error) error {
	d.partial = validators{}
	return errors.Join(file.Truncate(0), &retryError{err: fmt.Errorf("%s: %w", d.url, err)})
}

func (f *fetcher) copy(file *os.File, response *http.Response, offset int64, url string) error {
	total := response.ContentLength
	if total >= 0 {
		total += offset
	}
	counter := &counter{f: f, url: url, done: offset, total: max(total, 0)}
	n, err := io.Copy(io.MultiWriter(file, counter), io.LimitReader(response.Body, maxDownload-offset+1))
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return seawall.WithHint(fmt.Errorf("%s: %w", url, err), "free some space, or put the cache elsewhere with --cache-dir")
	case err != nil:
		return &retryError{err: fmt.Errorf("%s: broken off after %d bytes: %w: %w", url, offset+n, seawall.ErrUnreadable, err)}
	case offset+n > maxDownload:
		return fmt.Errorf("%s: more than %d bytes: %w", url, int64(maxDownload), seawall.ErrBound)
	}
	return nil
}

// check compares the file with the checksum cloud storage sends (x-goog-hash: crc32c=…).
func (f *fetcher) check(file *os.File, header http.Header, d *download) error {
	want := ""
	for _, value := range header.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(value, ",") {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(part), "crc32c="); ok {
				want = sum
			}
		}
	}
	if want == "" || header.Get("X-Goog-Stored-Content-Encoding") == "gzip" {
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32())); got != want {
		return f.restart(file, d, fmt.Errorf("crc32c is %s, the server says %s: %w", got, want, seawall.ErrCorrupt))
	}
	return nil
}

type counter struct {
	f           *fetcher
	url         string
	done, total int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.done += int64(len(p))
	if c.f.progress != nil {
		c.f.progress(seawall.Progress{Stage: "fetching " + c.url, Unit: "bytes", Done: c.done, Total: c.total})
	}
	return len(p), nil
}

// statusError explains an answer that is no file.
func statusError(url string, r *http.Response) error {
	err := fmt.Errorf("%s: %s: %w", url, r.Status, seawall.ErrUnreadable)
	switch {
	case r.StatusCode == http.StatusNotFound || r.StatusCode == http.StatusGone:
		return seawall.WithHint(fmt.Errorf("%w: %w", errGone, err), "check the address of this source in the configuration")
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return seawall.WithHint(err, "the server wants credentials, or the address is wrong")
	case r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500:
		return &retryError{err: err, after: retryAfter(r.Header.Get("Retry-After"))}
	}
	return err
}

// retryAfter reads seconds or a date; 0 when there is neither.
func retryAfter(s string) time.Duration {
	if seconds, err := strconv.Atoi(s); err == nil && seconds >= 0 && seconds < 1<<31 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
