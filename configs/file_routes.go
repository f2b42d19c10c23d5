package configs

// The keys of listeners[].routes; see file.go.

type fileRoute struct {
	block
	Name            scalar                  `key:"name"`
	Hosts           list                    `key:"hosts"`
	Paths           list                    `key:"paths"`
	PathPrefixes    list                    `key:"path_prefixes"`
	PathRegexps     list                    `key:"path_regexps"`
	Methods         list                    `key:"methods"`
	Headers         blocks[fileHeaderMatch] `key:"headers"`
	Scheme          scalar                  `key:"scheme"`
	Clients         list                    `key:"clients"`
	WhileFile       scalar                  `key:"while_file"`
	Allow           list                    `key:"allow"`
	Deny            list                    `key:"deny"`
	Pool            scalar                  `key:"pool"`
	Redirect        fileRedirect            `key:"redirect"`
	Respond         fileRespond             `key:"respond"`
	Rewrite         fileRewrite             `key:"rewrite"`
	RequestHeaders  fileEdit                `key:"request_headers"`
	ResponseHeaders fileEdit                `key:"response_headers"`
	MaxBody         scalar                  `key:"max_body"`
	ResponseTimeout scalar                  `key:"response_timeout"`
	BodyTimeout     scalar                  `key:"body_timeout"`
	TunnelTimeout   scalar                  `key:"tunnel_timeout"`
}

type fileHeaderMatch struct {
	block
	Name   scalar `key:"name"`
	Value  scalar `key:"value"`
	Regexp scalar `key:"regexp"`
}

type fileRedirect struct {
	block
	Status     scalar `key:"status"`
	Scheme     scalar `key:"scheme"`
	Host       scalar `key:"host"`
	Path       scalar `key:"path"`
	PathPrefix scalar `key:"path_prefix"`
}

type fileRespond struct {
	block
	Status      scalar `key:"status"`
	Body        scalar `key:"body"`
	File        scalar `key:"file"`
	ContentType scalar `key:"content_type"`
}

type fileRewrite struct {
	block
	Host       scalar `key:"host"`
	Path       scalar `key:"path"`
	PathPrefix scalar `key:"path_prefix"`
}

type fileEdit struct {
	block
	Set    list `key:"set"`
	Add    list `key:"add"`
	Remove list `key:"remove"`
}

type fileErrorPage struct {
	block
	Statuses list   `key:"statuses"`
	File     scalar `key:"file"`
}
