package http1

// Error is a message that was refused, with the status that tells its sender so. When the message is a
// response, the sender is a backend and the status is of no use.
type Error struct {
	Status int
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// Why a message was refused. Each is one row of what proxies and backends are known to read differently.
var (
	ErrBareLF       = &Error{400, "line ends in LF without CR"}
	ErrObsFold      = &Error{400, "header field continues on a second line"}
	ErrRequestLine  = &Error{400, "request line is not 'METHOD target HTTP/1.1'"}
	ErrMethod       = &Error{400, "method is not a token"}
	ErrTarget       = &Error{400, "request target is malformed"}
	ErrFragment     = &Error{400, "request target has a fragment"}
	ErrAuthority    = &Error{400, "request target names another host than the Host field"}
	ErrVersion      = &Error{505, "version is neither HTTP/1.0 nor HTTP/1.1"}
	ErrConnect      = &Error{501, "CONNECT is not served here"}
	ErrFieldName    = &Error{400, "header field name is not a token followed by a colon"}
	ErrFieldValue   = &Error{400, "header field value has a control character"}
	ErrTooManyField = &Error{431, "too many header fields"}
	ErrTooLarge     = &Error{431, "header is too large"}
	ErrTargetLong   = &Error{414, "request target is too long"}
	ErrHost         = &Error{400, "Host field is missing, doubled or malformed"}
	ErrLength       = &Error{400, "Content-Length is not one number"}
	ErrCoding       = &Error{400, "Transfer-Encoding is not 'chunked'"}
	ErrLengthCoding = &Error{400, "Content-Length beside Transfer-Encoding"}
	ErrOldCoding    = &Error{400, "Transfer-Encoding in an HTTP/1.0 message"}
	ErrConnection   = &Error{400, "Connection field is malformed"}
	ErrExpect       = &Error{417, "expectation is not 100-continue"}
	ErrStatusLine   = &Error{502, "status line is not 'HTTP/1.1 200 reason'"}
	ErrChunkSize    = &Error{400, "chunk size is malformed"}
	ErrChunkExt     = &Error{400, "chunk extensions are malformed or too long"}
	ErrChunkEnd     = &Error{400, "chunk does not end where its size says"}
	ErrTrailer      = &Error{400, "trailer section is malformed or too long"}
)
