package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Refused is a receiver's answer that the same message will get again, or one that it gives at a later time.
type Refused struct {
	Status int
	// After is when to try again, by the receiver; zero where it does not say.
	After time.Duration
	// Says is the receiver's word for it, if it is one.
	Says string
}

func (e *Refused) Error() string {
	text := fmt.Sprintf("the receiver answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Says != "" {
		text += " (" + e.Says + ")"
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += "; check the Secret's token or hmacKey"
	case http.StatusNotFound, http.StatusGone, http.StatusMovedPermanently, http.StatusFound, http.StatusPermanentRedirect, http.StatusTemporaryRedirect:
		text += "; check the Secret's url"
	}
	return text
}

// retry says whether an error may pass, and not before when.
func retry(err error) (again bool, after time.Duration) {
	if err == nil {
		return false, 0
	}
	refused, ok := errors.AsType[*Refused](err)
	if !ok {
		return true, 0
	}
	return refused.Status >= 500 || refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusRequestTimeout, refused.After
}

// client follows no redirects: they would carry a token to somebody else.
var client = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// word is what an answer's body may be told by: "invalid_payload", "no_service". Anything longer may quote the request.
var word = regexp.MustCompile(`^[a-z][a-z_ ]{2,40}$`)

// post sends a body. Its errors hold neither the address, which is a secret with many receivers, nor a header.
func post(ctx context.Context, address string, header http.Header, body []byte) error {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the Secret's url is no http or https URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the Secret's url is no http or https URL")
	}
	req.Header = header
	req.Header.Set("User-Agent", "davit")
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("sending to host %s: %w", u.Hostname(), unaddressed(err))
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	refused := &Refused{Status: res.StatusCode}
	refused.After = after(res.Header.Get("Retry-After"))
	if says := strings.TrimSpace(string(answer)); word.MatchString(says) {
		refused.Says = says
	}
	return refused
}

// after reads a Retry-After, which is seconds or a date; zero where it is neither or past. RFC 9110, 10.2.3.
func after(header string) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

// unaddressed takes the URL out of an error.
func unaddressed(err error) error {
	if quoting, ok := errors.AsType[*url.Error](err); ok {
		return quoting.Err
	}
	return err
}
