package configs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWrittenKeyIsReadAndFits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.key")
	defer syscall.Umask(syscall.Umask(0)) // a lax umask must not widen the mode
	if err := WriteKey(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", st.Mode(), err)
	}
	key, err := ReadKey(path)
	if err != nil || len(key) != KeySize {
		t.Errorf("ReadKey = %d bytes, %v", len(key), err)
	}
	if err := CheckKey(path); err != nil {
		t.Error(err)
	}
}

func TestKeyFileIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.key")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), dangling); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dangling} {
		if err := WriteKey(p); err == nil || !strings.Contains(err.Error(), "exists and is not overwritten") {
			t.Errorf("WriteKey(%s) = %v", p, err)
		}
	}
	if data, _ := os.ReadFile(path); string(data) != "mine" {
		t.Errorf("the file holds %q now", data)
	}
	if _, err := os.Stat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("a key was written through a link")
	}
}

func TestBadKeysAreRefusedWithoutTellingThem(t *testing.T) {
	const secret = "c2VjcmV0c2VjcmV0c2VjcmV0"
	for _, tt := range []struct{ data, want string }{
		{"", "is empty"},
		{"\n\n", "is empty"},
		{secret, "holds 18 bytes"},
		{secret + "!", "is not base64"},
		{NewKey() + NewKey(), "more than one line"},
		{strings.Repeat("A", 43) + "=", "only zeros"},
		{strings.Repeat(secret, 1000), "holds"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(tt.data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKey(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "tandem keygen") {
			t.Errorf("ReadKey of %.20q = %v, want %s", tt.data, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}

func TestKeyThatOthersCanUseIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteKey(path); err != nil {
		t.Fatal(err)
	}
	for mode, fits := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o660: false, 0o604: false, 0o601: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := CheckKey(path); (err == nil) != fits {
			t.Errorf("CheckKey with mode %o = %v", mode, err)
		}
	}
}

func TestKeyFileThatIsNoneIsTold(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "tandem keygen --out", dir: "is not a file", pipe: "is not a file"} {
		if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadKey(%s) = %v, want %s", path, err, want)
		}
	}
}
