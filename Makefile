# The tasks of this repository. `make help` lists them.

export CGO_ENABLED ?= 0
GO ?= go
# Executions, not seconds: if a time is given, its end alone can fail a run (go.dev/issue/75804, fixed in Go 1.27).
FUZZTIME ?= 20000x

.PHONY: help build test race fuzz fuzz-long bench lint golden web demo fleet soak chaos faults attack chain fixtures picture release release-check service-check clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## build the programs into bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

test: ## run the tests
	$(GO) test -shuffle=on ./...

# With the profile, everything would be compiled once more. SERIAL are packages without goroutines or locks, whose tests
# take minutes with the race detector. The tests of agent run their code too.
SERIAL = /(bpf|config|decode|dnswire|linktype|reassemble|report|sandbox|sketch|verdict|analyze.*|internal/repo|internal/testkit.*)$$

race: ## run the tests with the race detector (needs a C compiler), long tests in their short form
	CGO_ENABLED=1 $(GO) test -pgo=off -race -short -shuffle=on $$($(GO) list ./... | grep -vE '$(SERIAL)')

# The models also run in the tests, and the others take long to build or to run.
ONLY_LONG = ^Fuzz(Model|Segmentation|Fragmentation|MergeLaws|Packed|Agent|CommandLine)$$

fuzz: ## run every quick fuzz target FUZZTIME times (20000x)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz | grep -vE '$(ONLY_LONG)'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x $$pkg || exit 1; \
	  done; done

DURATION ?= 1h

fuzz-long: ## run every fuzz target in turn for DURATION (1h), from the kept corpora, with one worker; and compare with tshark
	GOFLAGS=-trimpath $(GO) run ./internal/testkit/cmd/fuzz -for $(DURATION)

bench: build ## measure speed and memory, beside tcpdump and other libraries, or beside BASE=another-pktvisord
	$(GO) run ./internal/testkit/cmd/bench $(if $(BASE),-base $(BASE))

lint: ## check formatting, go vet, staticcheck and for unreachable functions
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@dead="$$($(GO) tool deadcode -test ./...)" && test -z "$$dead" || { echo "$$dead"; exit 1; }

golden: ## write the golden files and generated docs again
	$(GO) test ./agent ./cmd/pktvisor-hub ./config ./metric ./server ./ui ./internal/testkit ./internal/testkit/dashboards -update

web: ## build the dashboard, web/dist, from web/app and web/vendor
	$(GO) test ./web/bundle -run TestDist -update

demo: build ## play a bundled capture through the agent, and open the terminal UI on it
	@scripts/demo.sh

fleet: build ## start a hub and fifty agents with generated traffic, and open the terminal UI on the hub
	$(GO) build -trimpath -o bin/ ./internal/testkit/cmd/pktgen
	@scripts/fleet.sh

chaos: build ## kill, cut and fill what a hub stands on for half an hour, and fail on a wrong counter (best as root); CHAOS=-short
	$(GO) run ./internal/testkit/cmd/chaos $(CHAOS)

faults: build ## run the programs through kills, broken disks, wrong clocks, a lack of memory and more, in their long form (as root)
	FAULTS=1 $(GO) test -trimpath -count=1 -timeout=30m ./internal/testkit/faults

# PEERS are folders of internal/testkit/chain. A program that is listed must be there; the tests of others are skipped.
PEERS ?= telegraf victoriametrics otelcol

chain: ## build Telegraf, VictoriaMetrics and the OpenTelemetry Collector (minutes), and compare what they collect with the API
	scripts/chain.sh $(PEERS)
	CHAIN="$(PEERS)" $(GO) test -count=1 ./internal/testkit/chain

fixtures: ## record testdata/captures again from real servers and clients (as root)
	scripts/record-fixtures.sh
	$(GO) test ./internal/testkit -run TestCaptureAnswers -update

picture: ## draw docs/screen.svg again, from a golden screen
	$(GO) run ./ui/screenshot ui/testdata/busy-160x50-truecolor.golden > docs/screen.svg

soak: build ## run the agent under load for half an hour, and fail on wrong counts, slow answers or growth (best as root)
	$(GO) run ./internal/testkit/cmd/soak

attack: build ## flood an agent in a network namespace as fast as this machine can, and fail unless it stays honest (as root); ATTACK=-max-cpu=50
	$(GO) run ./internal/testkit/cmd/attack $(ATTACK)

RELEASE ?= out/release

release: ## build archives, packages, the container image, SBOMs and checksums into out/release; ONLY=linux/amd64 for one system
	$(GO) run ./packaging/release -o $(RELEASE) -only '$(ONLY)'

release-check: ## build a release twice in two directories, compare them, and install its packages in a copy of this system (as root)
	scripts/release-check.sh '$(ONLY)'

service-check: ## run the packages of make release ONLY=linux/amd64 under a real systemd (as root; needs debootstrap and systemd-container)
	scripts/systemd-check.sh

clean: ## remove what was built
	rm -rf bin out
