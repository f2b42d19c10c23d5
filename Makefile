# Needs Go, make and gcc (the race detector uses cgo). On Debian: apt-get install make gcc
.DEFAULT_GOAL := build
SHELL := /bin/bash

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
SCHEDULES ?= 1000000
FUZZTIME  ?= 30s
DURATION  ?= 3m
SEEDS     ?= 4000

.PHONY: build demo test e2e model sim check fmt lint fuzz nemesis bench-failover bench-proxy bench-unplug bench-reload peers peers-h2spec peers-grpc peers-differential peers-proxyheader peers-clients peers-slowhttptest peers-testssl packages packages-check logs clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

build: ## bin/tandem, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tandem ./cmd/tandem

demo: build ## a whole pair on this machine: pulls the plug, kills, hangs and stops leaders, shows what a client saw
	CGO_ENABLED=0 go build -trimpath -o bin/tandem-demo ./cmd/tandem-demo
	bin/tandem-demo -tandem bin/tandem

test: ## everything: unit tests with the race detector, the model of the election, and pairs in network namespaces (these need root)
	go vet ./...
	go test -race -short -run '^$$' ./... >/dev/null # build all first, so that nothing compiles beside tests of real kernels
	go test -race -short -shuffle=on -p 1 $$(go list ./... | grep -v /test/e2e)
	go test -count=1 -p 1 ./cluster/election ./cluster/quorum -run 'Model' -v -timeout 20m | grep -vE '^=== '; exit $${PIPESTATUS[0]}
	$(MAKE) sim SEEDS=400 # of each kind
	$(MAKE) e2e

e2e: ## real binaries, built with the race detector, in network namespaces
	go test -count=1 -timeout 30m -v ./test/e2e | grep -vE '^=== '; exit $${PIPESTATUS[0]}

model: ## the models of the election and of the votes at length; SCHEDULES=1000000
	go test -count=1 -p 1 ./cluster/election ./cluster/quorum -run 'Model' -v -timeout 8h -schedules=$(SCHEDULES)

sim: ## whole daemons in memory under fake time, through random faults; SEEDS=4000 of each kind, or one seed with its whole story: SEED=17 RUN=TestStorms
	GOGC=800 go test -count=1 ./test/sim -timeout 4h $(if $(RUN),-run $(RUN)) $(if $(SEED),-v -seed=$(SEED),-seeds=$(SEEDS))

check: ## formatting, lint, test
	@test -z "$$(gofmt -s -l .)" || { gofmt -s -l .; echo "not formatted: run make fmt"; exit 1; }
	go mod tidy -diff
	$(MAKE) lint
	$(MAKE) test

fmt:
	gofmt -s -l -w . && go mod tidy

lint:
	go run $(GOLANGCI) run

fuzz: ## each fuzz target for FUZZTIME: a time (30s) or a number of inputs (20000x)
	@set -e; for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep ^Fuzz); do \
	    echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

nemesis: build ## random faults against a pair for DURATION=3m, judged by what others saw; SEED=1 repeats a run, CLOCK=1 also sets this machine's clock, by 1.5 s forth and back
	go build -o bin/nemesis ./test/nemesis
	bin/nemesis -tandem bin/tandem -duration $(DURATION) $(if $(SEED),-seed $(SEED)) $(if $(CLOCK),-clock)

bench-failover: build ## Tandem beside keepalived + HAProxy in the same lab; FAULT=kill9-idle,plug RUNS=5 FRESH=1
	@which keepalived haproxy >/dev/null || { apt-get update -qq && apt-get install -y -qq keepalived haproxy; }
	go build -o bin/bench-failover ./test/bench/failover
	bin/bench-failover -tandem bin/tandem $(if $(FAULT),-fault $(FAULT)) $(if $(RUNS),-runs $(RUNS)) $(if $(FRESH),-fresh)

bench-proxy: build ## the forwarding beside HAProxy, nginx and Caddy: CPU per request, rates, ratios; ROW=keepalive,h2 ROUNDS=5 FRESH=1
	go build -o bin/bench-proxy ./test/bench/proxy
	bin/bench-proxy $(if $(ROW),-row $(ROW)) $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(FRESH),-fresh)

bench-unplug: build ## a backend's plug is pulled under load, behind Tandem and behind HAProxy: failed requests, and until when; RUNS=5
	@which haproxy >/dev/null || ls /usr/sbin/haproxy >/dev/null || { apt-get update -qq && apt-get install -y -qq haproxy; }
	go run ./test/bench/unplug -tandem bin/tandem $(if $(RUNS),-runs $(RUNS))

bench-reload: build ## files are changed and reloaded under load, over and over: failed requests, ended connections; REQUESTS=100000
	go run ./test/bench/reload -tandem bin/tandem $(if $(REQUESTS),-requests $(REQUESTS))

peers: peers-h2spec peers-grpc peers-differential peers-proxyheader peers-clients peers-slowhttptest peers-testssl ## other people's test suites

peers-h2spec: ## h2spec: 145 tests of HTTP/2
	GOBIN=$(CURDIR)/bin go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
	go run ./test/peers/h2spec -h2spec bin/h2spec

GRPC := google.golang.org/grpc/interop
peers-grpc: ## gRPC's interoperability tests, by HTTP/2 with and without TLS
	@mkdir -p bin/grpc
	GOBIN=$(CURDIR)/bin/grpc go install $(GRPC)/client@v1.85.0 $(GRPC)/server@v1.85.0
	go run ./test/peers/grpc -client bin/grpc/client -server bin/grpc/server

peers-differential: ## the same bytes to Tandem, HAProxy and nginx: test/peers/differential/table.md; UPDATE=1 rewrites it
	@ls /usr/sbin/haproxy /usr/sbin/nginx >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy nginx; }
	go test -count=1 ./test/peers/differential -peers $(if $(UPDATE),-update)

peers-proxyheader: ## PROXY headers exchanged with HAProxy and nginx
	@ls /usr/sbin/haproxy /usr/lib/nginx/modules/ngx_stream_module.so >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy nginx libnginx-mod-stream; }
	go run ./test/peers/proxyheader

packages: ## dist/: a deb and an rpm of this commit, with man pages, completions and SBOM
	packaging/build dist

packages-check: packages ## the same bytes from two builds; the deb is installed, used, upgraded and removed in namespaces (root, Debian)
	packaging/same
	packaging/try dist/*.deb

peers-clients: ## curl, h2load and Python's websockets
	@ls /usr/bin/curl /usr/bin/h2load /usr/lib/python3/dist-packages/websockets >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends curl nghttp2-client python3-websockets; }
	go run ./test/peers/clients

peers-slowhttptest: ## clients that take their time
	@ls /usr/bin/slowhttptest >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slowhttptest; }
	go run ./test/peers/slowhttptest

peers-testssl: ## testssl.sh looks at the proxy's TLS
	@ls /usr/bin/testssl >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends testssl.sh; }
	go run ./test/peers/testssl

logs: ## bring docs/logs.md up to date with the code
	go test ./docs -update

clean:
	rm -rf bin dist bench-results
