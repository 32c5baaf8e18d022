# What one types here. Every recipe is plain sh; only lint, and the deployment
# checks, need more than Go and git.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0

# The race detector needs a C compiler; without one Go turns cgo off by itself.
DETECTOR  = $$(test "$$(go env CGO_ENABLED)" = 1 && echo -race)
VERSION   = $$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME  = 30s
TESTFLAGS =
# Of code that is built on request.
TAGS      = examples,perf,soak,trials
ARGS      =

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: run
run: ## development issuer and gateway on this machine; ARGS="--help" for more
	go run ./cmd/linegate-dev $(ARGS)

.PHONY: test
test: ## every test, with the race detector where there is a C compiler
	go test $(DETECTOR) $(TESTFLAGS) ./...

.PHONY: test-interop
test-interop: ## with oidc-provider, openid-client, HAProxy and Chromium; needs node 20, npm, haproxy, chromium
	@command -v npm >/dev/null || { echo "test-interop: npm is not installed" >&2; exit 1; }
	cd interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	rm -rf interop/artifacts
	cd interop && go test $(DETECTOR) -count=1 $(TESTFLAGS) ./...

# They mostly wait, so many can at once.
.PHONY: test-examples
test-examples: ## every example as its reader runs it, and bench/'s C server; needs python3, nc, curl, make, cc
	go test $(DETECTOR) -count=1 $(TESTFLAGS) -tags examples -parallel 8 ./examples ./bench/compare

.PHONY: lint
lint: ## vet, staticcheck, gofumpt, go.mod, and which way imports run
	go vet ./...
	go vet -tags $(TAGS) ./...
	go run $(STATICCHECK) ./...
	go run $(STATICCHECK) -tags $(TAGS) ./...
	@unformatted=$$(go run $(GOFUMPT) -l .) && test -z "$$unformatted" || \
		{ echo "not gofumpt-formatted: $$unformatted" >&2; exit 1; }
	go mod tidy -diff
	go test ./internal/archtest
	cd interop && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff

.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME=30s each, one a processor at once; stops at a finding
	sh scripts/fuzz.sh $(FUZZTIME) $(if $(TARGETS),'$(TARGETS)')

.PHONY: bench
bench: ## benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem ./...

# Without the race detector, which makes pools forget.
.PHONY: perf-check
perf-check: ## allocations, and CPU time beside a usual Go server, within bounds; half a minute
	go test -count=1 $(TESTFLAGS) -run 'Alloc' ./auth ./session
	go test -count=1 $(TESTFLAGS) -tags perf -run '^(TestCPU|TestAllocations)$$' ./bench/compare

# One at a time, on a machine that has little else to do.
.PHONY: trials
trials: ## a gateway under load: rotation, guessed keys, a hanging issuer, a login storm, slow and greedy clients; 7 minutes
	go test -count=1 -v -timeout 30m -parallel 1 $(TESTFLAGS) -tags trials ./internal/trials

# DURATION and RACE may come from the environment. go test's own time-out would
# end it sooner.
.PHONY: soak
soak: DURATION ?= 10m
soak: SEED ?= 0
soak: ## all kinds of clients, faults and misfortunes, and an oracle; DURATION=10m (and half a minute for each round), RACE=1, SEED=, of a run before
	go test -count=1 -v -timeout 0 $(if $(RACE),-race) $(TESTFLAGS) -tags soak ./internal/soak -args -duration $(DURATION) -seed $(SEED)

.PHONY: bench-compare
bench-compare: ## beside Redis, a usual Go server and bare epoll, into docs/performance.md; QUICK=1, RUNS=3
	@QUICK=$(QUICK) RUNS=$(RUNS) sh scripts/bench-compare.sh $(ARGS)

.PHONY: build
build: ## static binaries of every command in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./cmd/...

.PHONY: deploy-check
deploy-check: build ## deploy/ under promtool, systemd-analyze and an empty chroot
	sh scripts/deploy-check.sh
