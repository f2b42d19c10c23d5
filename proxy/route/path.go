package route

// Refusal is why a request is refused rather than routed.
type Refusal struct {
	Status int
	Reason string
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Why a request is refused. A path or a host that two readers could understand differently could be routed as one thing and
// served as another.
var (
	ErrPathForm    = &Refusal{400, "path does not begin with a slash, or has a character that no path has"}
	ErrPathEscape  = &Refusal{400, "path has a malformed or needless percent-encoding"}
	ErrPathDots    = &Refusal{400, "path has a dot segment"}
	ErrPathSlash   = &Refusal{400, "path has an encoded slash"}
	ErrPathEmpty   = &Refusal{400, "path has an empty segment"}
	ErrPathReverse = &Refusal{400, "path has a backslash"}
	ErrHostForm    = &Refusal{400, "host is not a name or an address"}
	ErrNoHost      = &Refusal{400, "request names no host to redirect to"}
	ErrDenied      = &Refusal{403, "client is not allowed here"}
)

// easy reports whether path is its own reading: nothing in it is encoded, doubled or a parameter.
func easy(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f || c == '%' || c == ';' || c == '\\' || c == '#':
			return false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			return false
		}
	}
	return path != "" && path[0] == '/'
}

// reader reads a path as the most obliging backend would: percent-encodings are decoded once, parameters (";…") are left out. What
// it refuses is what backends are known to read in more than one way.
type reader struct {
	lenient bool // encoded slashes and empty segments pass, both read as one slash
	out     []byte
	segment int // where the last segment of out begins
	param   bool
}

// read appends what it reads of path to r.out, until that has limit bytes or path ends. It returns how far it has come in path.
func (r *reader) read(path string, limit int) (int, *Refusal) {
	if path == "" || path[0] != '/' {
		return 0, ErrPathForm
	}
	r.out, r.segment, r.param = append(r.out, '/'), len(r.out)+1, false
	i := 1
	for i < len(path) && len(r.out) < limit {
		c, n, refused := r.char(path[i:])
		if refused == nil {
			refused = r.add(c)
		}
		if refused != nil {
			return i, refused
		}
		i += n
	}
	if i == len(path) && r.dots() {
		return i, ErrPathDots
	}
	return i, nil
}

// char reads one character and how many bytes it takes. A parameter begins with 0, which no path has.
func (r *reader) char(s string) (c byte, n int, refused *Refusal) {
	switch c = s[0]; {
	case c <= ' ' || c >= 0x7f || c == '#':
		return 0, 0, ErrPathForm
	case c == '\\':
		return 0, 0, ErrPathReverse
	case c == ';':
		return 0, 1, nil
	case c != '%':
		return c, 1, nil
	case len(s) < 3 || !isHex(s[1]) || !isHex(s[2]):
		return 0, 0, ErrPathEscape
	}
	switch c = unhex(s[1])<<4 | unhex(s[2]); {
	case c < ' ' || c == 0x7f, c == 0xc0, c == 0xc1: // the latter begin overlong forms of ASCII, and nothing else in UTF-8
		return 0, 0, ErrPathEscape
	case c == '\\':
		return 0, 0, ErrPathReverse
	case c == '/' && !r.lenient:
		return 0, 0, ErrPathSlash
	case c == '%' && twice(s[3:]):
		return 0, 0, ErrPathEscape
	}
	return c, 3, nil
}

// twice reports whether s, which stands behind an encoded percent sign, makes it a character that means something in paths, for a
// reader that decodes twice.
func twice(s string) bool {
	if len(s) < 2 || !isHex(s[0]) || !isHex(s[1]) {
		return false
	}
	switch c := unhex(s[0])<<4 | unhex(s[1]); c {
	case '.', '/', '\\', '%':
		return true
	default:
		return c < ' '
	}
}

// add adds a character that char has read.
func (r *reader) add(c byte) *Refusal {
	switch {
	case c == 0:
		r.param = true
	case c == '/':
		r.param = false
		switch {
		case r.dots():
			return ErrPathDots
		case r.segment < len(r.out):
			r.out = append(r.out, '/')
			r.segment = len(r.out)
		case !r.lenient:
			return ErrPathEmpty
		}
	case !r.param:
		r.out = append(r.out, c)
	}
	return nil
}

// dots reports whether the last segment is "." or "..".
func (r *reader) dots() bool {
	s := string(r.out[r.segment:])
	return s == "." || s == ".."
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// appendEscaped appends s, which was decoded, so that it can stand in a path.
func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; plain[c&0x7f] == 'x' && c < 0x80 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// plain marks what stands in a path as it is (RFC 3986 3.3), and "/".
const plain = "................" + "................" +
	".x..x.xxxxxxxxxx" + "xxxxxxxxxxx..x.." + // ! $ & ' ( ) * + , - . / 0-9 : =
	"xxxxxxxxxxxxxxxx" + "xxxxxxxxxxx....x" + // @ A-Z _
	".xxxxxxxxxxxxxxx" + "xxxxxxxxxxx...x." // a-z ~
