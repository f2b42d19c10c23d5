// Package differential sends the same raw HTTP/1 requests, most of them hostile, through Tandem, HAProxy and nginx, and keeps a
// table of what each of them made of it: table.md. A judge that knows neither the table nor Tandem's parser sees to it that Tandem
// passes on only what every reader understands alike.
//
//	go test ./test/peers/differential                  Tandem, against the judge and the table
//	go test ./test/peers/differential -peers           HAProxy and nginx, too (make peers-differential)
//	go test ./test/peers/differential -peers -update   rewrites the table
package differential
