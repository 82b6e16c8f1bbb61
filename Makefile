# What one does with this repository. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run down clean status tail test bench load fmt lint

STACK_COMMAND := infra/local/stack
BINARIES := $(or $(CARGO_TARGET_DIR),target)/release

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: ## start everything here, with seed data and one ticket bought; no containers needed
	$(STACK_COMMAND) check
	$(STACK_COMMAND) fetch
	cargo build --release --workspace --bins
	$(STACK_COMMAND) up
	$(STACK_COMMAND) exec $(BINARIES)/seed
	$(STACK_COMMAND) exec $(BINARIES)/buy-one-ticket
	@$(STACK_COMMAND) welcome

down: ## stop everything, keep the data
	$(STACK_COMMAND) down

clean: ## stop everything and remove the data
	$(STACK_COMMAND) clean

status: ## what runs
	@$(STACK_COMMAND) status

tail: ## print decoded records as they come: make tail topic=checkout.payments [from=beginning]
	@$(if $(topic),,$(error which topic? For example: make tail topic=checkout.payments))
	@$(STACK_COMMAND) tail $(topic) $(if $(from),--from $(from))

test: ## everything that must hold, on a stack of its own (ports + 20000)
	infra/local/test

load: ## k6 journeys with limits: make load [scenario=buy] [duration=30s] [url=https://…] [out=folder]
	infra/load/run $(scenario) $(if $(duration),--duration $(duration)) $(if $(url),--url $(url)) $(if $(out),--out $(out))

# Ports below those that the kernel gives to clients, of which the bench has thousands. A hold outlasts
# the bench, so that no run pays for the orders of an earlier one.
bench: export STACK := bench
bench: export STACK_OFFSET := 22000
bench: export SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS := 7200
bench: seconds ?= $(if $(quick),3,10)
bench: warm_up ?= $(if $(quick),1,3)
bench: runs ?= $(if $(quick),1,3)
bench: clients ?= 1024,64,1
bench: ## orders per second, into docs/BENCHMARKS.md: make bench [quick=1] [seconds=10] [warm_up=3] [runs=3]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench \
		--seconds $(seconds) --warm-up $(warm_up) --runs $(runs) --clients $(clients) \
		--called 'make bench$(if $(MAKEOVERRIDES), $(MAKEOVERRIDES))' $(if $(quick),,--report docs/BENCHMARKS.md)

fmt: ## format the code
	cargo fmt --all

lint: ## what clippy has to say
	cargo clippy --workspace --all-targets -- -D warnings
