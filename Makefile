# Two commands matter: `make run` and `make test`. Each installs what it is missing.
SHELL      := /bin/bash
GO         ?= go
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOFLAGS    := -trimpath
LDFLAGS    := -s -w -X main.version=$(VERSION)
export CGO_ENABLED := 0
SHARED     ?= ../shared

.PHONY: run build test lint unit cluster race fuzz bench load soak image starter-db clean

run: build ## scan this machine; print the table, write seawall-report.html
	@bin/seawall scan host --scanners vuln,misconfig --format table --format html=seawall-report.html
	@echo "Full report: $(CURDIR)/seawall-report.html"

build: ## the static binaries, bin/seawall and bin/seawall-agent
	@mkdir -p bin
	@$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/seawall ./cmd/seawall-agent

test: ## install what is missing, lint, test everything, real parts included
	@.ci/install
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory race

lint: ## golangci-lint (see .golangci.yml for the reason of each linter) and go vet
	@.ci/lint

unit: cluster ## every test
	$(GO) test ./...

cluster: ## build the Kubernetes that tests start, once (minutes); go run ./test/cluster up|down is for people
	@[ "$$(uname)" != Linux ] || $(GO) run ./test/cluster build

race: ## the concurrent packages under the race detector (the only use of cgo)
	CGO_ENABLED=1 $(GO) test -race -short ./internal/inventory ./internal/scan/... ./internal/source/registry ./internal/admission ./internal/store/sql ./internal/agent ./internal/sink/spool

fuzz: ## every fuzz target for FUZZTIME each (30s)
	@.ci/fuzz $(or $(FUZZTIME),30s)

bench: build ## side by side with the physical limit and whatever peers are on PATH
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...
	$(GO) run ./bench
	[ "$$(id -u)" != 0 ] || $(GO) run ./bench/agent -agent bin/seawall-agent

load: cluster ## admission: 1,000 reviews/s for a minute at the webhook; then what it costs a real API server
	$(GO) run ./bench/load
	SEAWALL_LONG=1 $(GO) test -count=1 -v -run TestLoad ./test/cluster/load

soak: cluster ## ten minutes of a cluster's ordinary life, and Debian's servers, under the agent: no false alarm, flat memory
	SEAWALL_LONG=1 $(GO) test ./test/cluster/runtime -run "Silence|Servers" -count=1 -v -timeout 40m

image: ## reproducible multi-architecture container images with their SBOMs: dist/seawall.oci, dist/seawall-agent.oci
	$(GO) run ./deploy/image --version '$(VERSION)' --program seawall
	$(GO) run ./deploy/image --version '$(VERSION)' --program seawall-agent

starter-db: ## rebuild the embedded advisory database from $(SHARED)/advisories
	$(GO) run ./internal/advisory/starter/generate $(SHARED)/advisories

clean:
	rm -rf bin dist seawall-report.html
