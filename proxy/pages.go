package proxy

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxPage bounds a file that is sent as a whole answer.
const maxPage = 1 << 20

// page is the body of an answer of our own.
type page struct {
	body []byte
	kind string // its Content-Type
}

// readPage reads a file that is to be sent.
func readPage(path string) (page, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return page{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return page{}, errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err == nil && len(b) > maxPage {
		err = fmt.Errorf("%s has more than %d bytes", path, maxPage)
	}
	kind := mime.TypeByExtension(filepath.Ext(path))
	if kind == "" {
		kind = plainText
	}
	return page{body: b, kind: kind}, err
}

// readPages reads the files that the listener's answers are made of. One that cannot be read is told and done without: a page is no
// reason not to serve.
func (l *listener) readPages() {
	read := func(path string) (page, bool) {
		p, err := readPage(path)
		if err != nil {
			l.log.Warn("page could not be read, a plain text takes its place", "err", err)
		}
		return p, err == nil
	}
	for _, e := range l.cfg.ErrorPages {
		p, ok := read(e.File)
		if !ok {
			continue
		}
		if l.pages == nil {
			l.pages = make(map[int]page)
		}
		for _, status := range e.Statuses {
			l.pages[status] = p
		}
	}
	for i := range l.ways {
		w := &l.ways[i]
		if w.route == nil || w.route.Respond == nil {
			continue
		}
		r := w.route.Respond
		w.page = page{body: r.Body, kind: plainText}
		if r.File != "" {
			if p, ok := read(r.File); ok {
				w.page = p
			} else {
				w.page.body = fmt.Appendf(nil, "%d %s\n", r.Status, statusText(r.Status))
			}
		}
		if r.ContentType != "" {
			w.page.kind = r.ContentType
		}
	}
}

// look switches the routes that depend on a file on and off.
func (l *listener) look() {
	for i := range l.ways {
		r := l.ways[i].route
		if r == nil || r.While == "" {
			continue
		}
		_, err := os.Stat(r.While)
		if r.SetOff(err != nil) {
			l.log.Info("route switched by its file", "route", r.Name, "on", err == nil, "file", r.While)
		}
	}
}

// appendPage appends a whole response for an error: with the page that there is for it, else with a short text.
func (l *listener) appendPage(dst []byte, status int, reason string, head, last bool) []byte {
	dst = appendStatusLine(dst, status)
	custom, ok := l.pages[status]
	kind := plainText
	if ok {
		kind = custom.kind
	}
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, kind...)
	dst = append(dst, "\r\nCache-Control: no-store\r\n"...)
	if status == 503 || status == 429 {
		dst = append(dst, "Retry-After: 1\r\n"...)
	}
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	text := statusText(status)
	length := len(custom.body)
	if !ok {
		length = len("000 ") + len(text) + len(": ") + len(reason) + len("\n")
	}
	dst = append(appendLength(dst, int64(length)), "\r\n"...)
	if head || ok {
		if !head {
			dst = append(dst, custom.body...)
		}
		return dst
	}
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, text...)
	dst = append(dst, ": "...)
	dst = append(dst, reason...)
	return append(dst, '\n')
}
