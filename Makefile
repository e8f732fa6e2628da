# make help lists what there is. Everything made goes to the cache folder (DBPAIR_CACHE, else ~/.cache/dbpair) or to bin/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SEEDS ?= 20000
E2E_CLUSTER ?= dbpair-e2e
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Packages with tests that need no cluster.
UNIT = $$(go list ./... | grep -v /test/e2e$$)
controller-gen = $$(hack/tools/build.sh controller-gen)

##@ See it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## A kind cluster with the operator and the pair of config/samples/shop.yaml
	@hack/demo.sh up

.PHONY: demo-down
demo-down: ## Remove what demo made
	@hack/demo.sh down

##@ Test it

.PHONY: test
test: ## Unit, property, real mysqld and envtest tests; fetches what they need
	@hack/test.sh $(TESTFLAGS)

.PHONY: test-short
test-short: ## What needs neither a mysqld nor an API server
	go test -short $(UNIT)
	go test -C cmd/backup -short ./...

.PHONY: test-clients
test-clients: ## Clients in Go, PHP, Python, Perl, Node, Ruby and Java with what the Secret hands out; prints the table of docs/clients.md
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_CLIENTS="$$(hack/clients.sh)" DBPAIR_REQUIRE_MYSQLD=1 DBPAIR_REQUIRE_CLIENTS=1 \
	go test -count=1 -timeout 20m -v ./test/clients

.PHONY: bench-refused
bench-refused: ## How long each program takes to report that the door turned it away, at 5, 50 and 200 attempts a second: BENCH_SECONDS of each (10)
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_CLIENTS="$$(hack/clients.sh)" DBPAIR_REQUIRE_MYSQLD=1 DBPAIR_REQUIRE_CLIENTS=1 \
	go test -run '^$$' -bench RefusedClients -benchtime "$${BENCH_SECONDS:-10}x" -timeout 20m ./test/clients

.PHONY: test-store
test-store: ## The suite of stores against a real one, below a prefix of its own: STORE=URL (docs/backup.md), credentials in the environment
	@DBPAIR_STORE="$(STORE)" go test -C cmd/backup -tags store -count=1 -v -run TestAnyStore ./internal/blobstore

.PHONY: test-checksum
test-checksum: ## Comparisons under writes and ALTERs, RUNS=n of them (100); random drift, 300 times
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_REQUIRE_MYSQLD=1 DBPAIR_CHECKSUM_RUNS=$(or $(RUNS),100) \
	go test -count=1 -timeout 120m -v -run TestOnAPair ./internal/checksum -rapid.checks=300

.PHONY: e2e
e2e: ## The chart on a real kind cluster, with failing nodes
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh run $(E2E_CLUSTER) $(E2EFLAGS)

.PHONY: e2e-down
e2e-down: ## Remove the cluster of e2e
	@hack/e2e.sh down $(E2E_CLUSTER)

.PHONY: sim
sim: ## The protocol's simulator over SEEDS=n histories (default 20000)
	@go test -count=1 -timeout 60m -v -run 'TestSeeds' ./internal/sim -seeds=$(SEEDS)

.PHONY: sim-bugs
sim-bugs: ## Does the simulator find each bug of internal/sim/mutants? Prints how many seeds it took (BUGS="a b")
	@go run ./hack/mutants sim $(BUGS)

.PHONY: checksum-bugs
checksum-bugs: ## Do the tests of comparisons find each bug of internal/checksum/mutants? Prints what fails (BUGS="a b")
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" go run ./hack/mutants checksum $(BUGS)

##@ Check it

.PHONY: check
check: check-fmt check-modules vet lint check-dead check-generated check-chart check-alerts check-scripts check-workflows check-words check-vulnerabilities ## Everything that needs no test run; what CI runs first

.PHONY: check-fmt
check-fmt: ## Is every Go file formatted, and every shell script?
	@files=$$(git ls-files -co --exclude-standard '*.go' | xargs ls 2>/dev/null | xargs gofmt -l); \
	[ -z "$$files" ] || { echo "not formatted (make fmt): $$files"; exit 1; }
	@hack/lint/scripts.sh formatted

.PHONY: check-modules
check-modules: ## Are go.mod and go.sum what go mod tidy makes?
	@go mod tidy -diff || { echo "run go mod tidy and commit the result"; exit 1; }
	@cd cmd/backup; go mod tidy -diff || { echo "run go mod tidy in cmd/backup and commit the result"; exit 1; }

.PHONY: vet
vet: ## go vet, with every build tag
	@go vet ./...
	@go vet -tags bench,e2e,failpoints ./...
	@go vet -C cmd/backup -tags bench,store ./...

.PHONY: lint
lint: ## golangci-lint with every build tag: import rules, sizes, docs of exported names, errors, what is unsafe
	@"$$(hack/tools/build.sh golangci-lint)" run ./...
	@"$$(hack/tools/build.sh golangci-lint)" run --build-tags failpoints $$(git grep -lE '^//go:build failpoints' '*.go' | xargs -n1 dirname | sort -u | sed 's,^,./,')
	@lint="$$(hack/tools/build.sh golangci-lint)"; cd cmd/backup; "$$lint" run --config ../../.golangci.yaml ./...

.PHONY: check-dead
check-dead: ## Does a program call every function?
	@hack/lint/deadcode.sh

.PHONY: check-generated
check-generated: ## Are generated files what their sources make?
	@hack/lint/generated.sh

.PHONY: check-chart
check-chart: ## helm lint, and the chart rendered with all that changes its shape
	@hack/lint/chart.sh

.PHONY: check-alerts
check-alerts: ## Are the alerts right, and do they fire when they should, and only then? (promtool)
	@hack/lint/alerts.sh

.PHONY: check-scripts
check-scripts: ## Is every shell script's syntax right, and what does shellcheck say?
	@hack/lint/scripts.sh

.PHONY: check-workflows
check-workflows: ## Are the workflows of .github right? (actionlint)
	@go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: check-words
check-words: ## Do links lead somewhere; are words that only this project uses, and paths of one machine, left out?
	@git ls-files -co --exclude-standard | xargs go run ./hack/lint

.PHONY: check-vulnerabilities
check-vulnerabilities: ## Known vulnerabilities in what is called (govulncheck); says so when its database cannot be reached
	@hack/lint/vulnerabilities.sh

##@ Make it

.PHONY: build
build: ## The operator, the agent, the kubectl plugin and the program for backups, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	CGO_ENABLED=0 go build -C cmd/backup -trimpath -ldflags '$(LDFLAGS)' -o ../../bin/ .

.PHONY: images
images: ## Our image, for the cluster
	@hack/images.sh

.PHONY: generate
generate: ## Every generated file: deep copies, the rule about owned settings, manifests, chart, docs/api.md
	@go run ./hack/settings-rule .
	@$(controller-gen) object paths=./api/...
	@$(MAKE) manifests chart
	@go run ./hack/api-docs .

.PHONY: manifests
manifests: ## CRDs from the API types, the operator's rules from the markers in controllers/
	@$(controller-gen) crd paths=./api/... output:crd:dir=config/crd/bases
	@$(controller-gen) rbac:roleName=dbpair-manager paths=./controllers/... output:rbac:dir=config/rbac

.PHONY: chart
chart: ## The chart's CRDs, rules, policies and alerts, from config/; its dashboards
	@go run ./hack/chart-sync .
	@go run ./hack/dashboards .

.PHONY: fmt
fmt: ## Format every Go file and shell script, and order imports
	@git ls-files -co --exclude-standard '*.go' | xargs ls 2>/dev/null | xargs gofmt -w
	@"$$(hack/tools/build.sh golangci-lint)" fmt
	@hack/lint/scripts.sh format

##@ Measure it

.PHONY: bench-bootstrap
bench-bootstrap: ## Apply to Available, the operator's memory and CPU: figures for docs/benchmarks.md
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) bootstrap

.PHONY: bench-failover
bench-failover: ## Fault to first acknowledged write: figures for docs/benchmarks.md
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) failover

.PHONY: bench-switchover
bench-switchover: ## Planned switchovers under load, beside a sequence without a door and kubectl delete pod: BENCH_RUNS of each (10)
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) switchover

.PHONY: bench-clients
bench-clients: ## What programs in several languages meet, by fault, held and not: BENCH_RUNS of each (10), BENCH_WORKERS (4), BENCH_PAUSE (0s), BENCH_SPEC
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh programs $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) clients

.PHONY: bench-durability
bench-durability: ## Commits per second, Lossless beside Async, and how far the passive falls behind: BENCH_RUNS rounds (10) of BENCH_LOAD (20s)
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) durability

.PHONY: bench-return
bench-return: ## A killed primary until it is in sync again; re-seed beside cp and a new claim: BENCH_RUNS (10), BENCH_SIZES (1Gi)
	@hack/e2e.sh up $(E2E_CLUSTER)
	@hack/e2e.sh bench $(E2E_CLUSTER) return

.PHONY: bench-checksum
bench-checksum: ## Comparisons of two real mysqlds: BENCH_NARROW, BENCH_WIDE rows (10,000,000 and 500,000)
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_REQUIRE_MYSQLD=1 PT_TABLE_CHECKSUM="$${PT_TABLE_CHECKSUM-$$(hack/percona.sh)}" \
	go test -tags bench -count=1 -timeout 180m -v -run TestBenchChecksum ./test/bench/checksum

.PHONY: bench-backup
bench-backup: ## Backup, restore and archive of two real mysqlds and a real S3 server: BENCH_ROWS, BENCH_SIZE (4GiB), BENCH_RUNS (3), BENCH_OUTAGE (1h)
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	CGO_ENABLED=0 go build -C cmd/backup -trimpath -ldflags '-s -w -X main.version=bench' -o "$$work/" . && \
	BENCH_PROGRAM="$$work/backup" DBPAIR_S3_SERVER="$$(hack/tools/build.sh versitygw)" DBPAIR_REQUIRE_S3=1 \
	DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_REQUIRE_MYSQLD=1 \
	go test -C cmd/backup -tags bench -count=1 -timeout 0 -v -run TestBenchBackup ./internal/bench

.PHONY: bench-scale
bench-scale: ## What one operator needs for 10, 100 and 1,000 pairs of cheap stand-ins (BENCH_PAIRS), and how fast it is then
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=bench' -o "$$work/" ./cmd/manager ./test/bench/scale; \
	KUBEBUILDER_ASSETS="$$(hack/envtest.sh)" "$$work/scale" "$$work/manager"

.PHONY: bench-digest
bench-digest: ## Where a comparison's processor time goes: statements of one real mysqld, in microseconds a row
	@DBPAIR_MYSQL_BIN="$$(hack/mysqld.sh)" DBPAIR_REQUIRE_MYSQLD=1 BENCH_NARROW=$(or $(BENCH_NARROW),500000) BENCH_WIDE=$(or $(BENCH_WIDE),100000) \
	go test -tags bench -count=1 -timeout 60m -v -run TestBenchDigest ./test/bench/checksum
