# What one does with this repository. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run down clean status tail test fmt lint

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

fmt: ## format the code
	cargo fmt --all

lint: ## what clippy has to say
	cargo clippy --workspace --all-targets -- -D warnings
