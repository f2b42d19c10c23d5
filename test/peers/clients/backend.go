package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func serve(l net.Listener) error {
	m := http.NewServeMux()
	m.HandleFunc("/file/{size}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("size"))
		http.ServeContent(w, r, "file.txt", time.Time{}, strings.NewReader(text(n)))
	})
	m.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x %d %v\n", h.Sum(nil), n, err)
	})
	m.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) })
	m.HandleFunc("/trailer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body\n")
		w.Header().Set("X-Sum", "abc")
	})
	m.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		_, _ = io.WriteString(w, "body\n")
	})
	m.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	m.HandleFunc("/304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) })
	m.HandleFunc("/flow", func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = io.WriteString(w, "flow ")
			w.(http.Flusher).Flush()
		}
	})
	return (&http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

// text is a file of n bytes.
func text(n int) string { return strings.Repeat("0123456789", n/10+1)[:n] }
