# davit: `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
TOOLS := -modfile=.ci/tools/go.mod
# Linked by a C compiler, 30 MiB more of the program become resident at its start.
STATIC := CGO_ENABLED=0 go
# What davit says of itself. The same version and commit give the same bytes, wherever they are built.
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
# Tests that run beside one another in a package: they wait for a cluster more than they compute, so more than there are cores.
PARALLEL ?= 3
GOVULNCHECK := v1.9.0
IMAGE := go run ./deploy/image --version "$(VERSION)" --commit "$(COMMIT)"
DEVCLUSTER := go run ./deploy/devcluster/cmd/devcluster

.PHONY: help build image release test fuzz chaos lint vulns generate demo e2e bench soak devcluster deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/davit
	$(STATIC) build -trimpath -ldflags "-s -w -X main.linkedVersion=$(VERSION) -X main.linkedCommit=$(COMMIT)" -o bin/davit ./cmd/davit

image: ## build davit's OCI image, SBOMs attached, and push it: make image TO=REPOSITORY:TAG
	@$(IMAGE) --to "$(TO)"

release: ## davit for Linux and macOS, with checksums and SBOMs, in DIR (default bin/release)
	@$(IMAGE) --binaries $(or $(DIR),bin/release)

test: deps devcluster ## all tests, against real git, a real OCI registry and a real API server, and no planted credential told; as root on Linux on a real node too
	go test -json -race -timeout 45m -parallel $(PARALLEL) ./reconciler ./cmd/davit ./... | go run ./deploy/devcluster/cmd/told # those that take longest begin first
	@if [ "$$(uname)" = Linux ] && [ "$$(id -u)" = 0 ]; then $(MAKE) e2e; \
	else echo "left out: the tests of a real node, which need root on Linux (make e2e)"; fi

fuzz: ## each fuzz target for TIME (default 10m), of all packages or those in IN; ends at the first crasher, and says where its input is kept
	@.ci/fuzz $(or $(TIME),10m) $(IN)

chaos: deps devcluster ## kill the controller at every named point and at ROUNDS random moments (default 300), have every fault of its servers come for each hundred, and play random scripts against a model: make chaos ROUNDS=1000
	@# one package after the other: of several go test shows nothing before they end
	@for package in ./reconciler/chaos ./reconciler; do \
		DAVIT_CHAOS=$(or $(ROUNDS),300) go test -count=1 -v -timeout 6h -parallel 8 -run 'Chaos' $$package || failed=1; \
	done; [ -z "$$failed" ]

lint: ## gofmt, go vet, staticcheck, tidy modules
	@files=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$files" ] || { echo "gofmt -w: $$files" >&2; exit 1; }
	go vet ./...
	go tool $(TOOLS) staticcheck ./...
	go mod tidy -diff

vulns: ## known vulnerabilities in code that davit calls; needs vuln.go.dev, or another database of its format: make vulns DB=URL
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) -db $(or $(DB),https://vuln.go.dev) ./...

generate: ## CRDs and deep copies from the API types, and the reference in deploy/docs from all of it
	go generate ./...
	go test ./deploy/docs ./deploy/observability -run 'CRDs|Files|Reference' -update
	UPDATE=1 go test ./cmd/davit -run TestCommandReference

devcluster: ## build a real Kubernetes' binaries, once
	$(DEVCLUSTER) build control-plane kwok jobset lws kueue gateway registry forge

e2e: deps ## the tests that need root and a real node
	$(DEVCLUSTER) build all
	DAVIT_E2E=1 go test -count=1 -p 1 -timeout 30m -run RealNode ./deploy/devcluster ./examples/finetune/demo ./examples/iris/demo

AXE_VERSION := 4.14.1

deps: ## what tests and a real node need: of Debian signing tools, git-lfs, sshd, Prometheus, Chromium, headers for runc, ip and iptables; of npm axe-core
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		have() { command -v "$$1" >/dev/null; }; \
		want=(libseccomp-dev pkg-config iproute2 iptables gnupg openssh-client openssh-server git-lfs prometheus chromium); \
		have npm || want+=(npm); \
		{ [ -e /usr/include/seccomp.h ] && have pkg-config && have ip && have iptables && have gpg && have ssh-keygen && have git-lfs && [ -e /usr/sbin/sshd ] && have prometheus && have chromium && have npm; } || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${want[@]}"; }; fi
	@cache="$$(if [ "$$(uname)" = Darwin ]; then echo "$$HOME/Library/Caches"; else echo "$${XDG_CACHE_HOME:-$$HOME/.cache}"; fi)/davit"; to="$$cache/axe-core-$(AXE_VERSION)"; \
	[ -e "$$to/axe.min.js" ] || { rm -rf "$$to.part" && npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$$to.part" axe-core@$(AXE_VERSION) && \
		mkdir -p "$$to" && mv "$$to.part/node_modules/axe-core/axe.min.js" "$$to/axe.min.js" && rm -rf "$$to.part"; } || \
		echo "axe-core $(AXE_VERSION) is not had from npm; the tests of the page in a browser need it" >&2

demo: deps ## the main story on real parts (as root on Linux with a real node)
	go run ./examples/iris/demo

soak: devcluster ## commits, webhooks, drift and failing releases at a rate, an hour with 10,000 releases: make soak RELEASES=1000 FOR=10m
	$(STATIC) run ./examples/scale soak -n $(or $(RELEASES),10000) -for $(or $(FOR),1h)

bench: devcluster ## every number the README claims, with a peer or a physical limit beside it; about 40 minutes
	go test -run '^$$' -bench . ./registry ./render ./gitops ./reconciler/history ./reconciler/fleet
	go run ./examples/images
	$(STATIC) run ./examples/scale
