# What one does with this repository. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run down clean status tail test flash-sale proof growth bench bench-catalog bench-crowd bench-log bench-mails load fmt lint

STACK_COMMAND := infra/local/stack
comma := ,
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

# Holds end while the sale goes on, so that their seats are sold again. The driver's exit code is
# the verdict: 0 all holds, 1 something does not, 2 could not be judged; make turns 1 and 2 into 2 and names them in
# its last line. Then the tables are written anew from the topics and audited as well. History and logs stay in .stack/flash-sale.
flash-sale: export STACK := flash-sale
flash-sale: export STACK_OFFSET := 18000
flash-sale: export SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS := 30
flash-sale: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
flash-sale: buyers ?= 20000
flash-sale: seats ?= 5000
flash-sale: clients ?= 1024
flash-sale: ## the proof: kill -9 in the middle of a sale, then an audit: make flash-sale [buyers=20000] [seats=5000] [clients=1024] [seed=…]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) start svc-checkout-2 && $(STACK_COMMAND) exec $(BINARIES)/flash-sale \
		--buyers $(buyers) --seats $(seats) --clients $(clients) \
		$(if $(seed),--seed $(seed)) $(if $(without_faults),--without-faults) && \
	SVC_CHECKOUT__CQL_KEYSPACE=checkout_rebuilt $(STACK_COMMAND) run checkout rebuild && \
	$(STACK_COMMAND) run checkout audit --tables checkout_rebuilt

proof: ## who audits the auditor: bugs on purpose that it must catch, and 1,000,000 random histories; then make growth (about an hour)
	infra/local/proof
	$(MAKE) growth

# The last of a million seats are for the orders that are asked for while svc-checkout is away.
growth: export STACK := growth
growth: export STACK_OFFSET := 22000
growth: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
growth: export SVC_CHECKOUT__CHECKOUT_REMEMBER_SECONDS = $(remember)
growth: remember ?= 86400
growth: outages ?= $(if $(quick),1000$(comma)10000,1000,10000,100000,995000)
growth: orders ?= $(if $(quick),2000,10000,100000,900000)
growth: clients ?= 1024
growth: seconds ?= $(if $(quick),3,10)
growth: warm_up ?= $(if $(quick),1,3)
growth: ## what 1,000,000 past orders cost the next one, a restart and a take-over, into docs/GROWTH.md: make growth [quick=1] [outages=1000,…] [orders=10000,…] [clients=1024] [remember=86400]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench-growth \
		--outages $(outages) --orders $(orders) --clients $(clients) --seconds $(seconds) --warm-up $(warm_up) \
		--called 'make growth$(if $(MAKEOVERRIDES), $(MAKEOVERRIDES))' $(if $(quick),,--report docs/GROWTH.md)

load: ## k6 journeys with limits: make load [scenario=buy] [duration=30s] [warm_up=60s] [url=https://…] [out=folder]
	infra/load/run $(scenario) $(if $(duration),--duration $(duration)) $(if $(warm_up),--warm-up $(warm_up)) $(if $(url),--url $(url)) $(if $(out),--out $(out))

# Ports below those that the kernel gives to clients, of which the bench has thousands. A hold outlasts
# the bench, so that no run pays for the orders of an earlier one.
bench: export STACK := bench
bench: export STACK_OFFSET := 22000
bench: export SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS := 7200
bench: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
bench: seconds ?= $(if $(quick),3,10)
bench: warm_up ?= $(if $(quick),1,3)
bench: runs ?= $(if $(quick),1,3)
bench: clients ?= 1024,64,1
bench: scenes ?= service,gateway,events,paid,ceiling
bench: ## orders per second, and sign-ins, into docs/BENCHMARKS.md: make bench [quick=1] [seconds=10] [warm_up=3] [runs=3] [scenes=service,ceiling]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench \
		--seconds $(seconds) --warm-up $(warm_up) --runs $(runs) --clients $(clients) --scenes $(scenes) \
		--called 'make bench$(if $(MAKEOVERRIDES), $(MAKEOVERRIDES))' $(if $(quick),,--report docs/BENCHMARKS.md)

bench-catalog: export STACK := bench-catalog
bench-catalog: export STACK_OFFSET := 22000
bench-catalog: export SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS := 7200
bench-catalog: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
bench-catalog: events ?= 100000
bench-catalog: clients ?= 64
bench-catalog: seconds ?= 10
bench-catalog: streams ?= 5000
bench-catalog: ## how fast a large catalog is read, and how soon thousands see a seat go: make bench-catalog [events=100000] [clients=64] [seconds=10] [streams=5000]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench-catalog \
		--events $(events) --clients $(clients) --seconds $(seconds) --streams $(streams)

bench-log: export STACK := bench-log
bench-log: export STACK_OFFSET := 22000
bench-log: seconds ?= 8
bench-log: runs ?= 3
bench-log: ## what one ordered log allows, by partitions, producers and clients, into docs/LOG.md: make bench-log [seconds=8] [runs=3]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench-log --seconds $(seconds) --runs $(runs) \
		--called 'make bench-log$(if $(MAKEOVERRIDES), $(MAKEOVERRIDES))' --report docs/LOG.md

bench-crowd: export STACK := bench-crowd
bench-crowd: export STACK_OFFSET := 22000
bench-crowd: export SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS := 7200
bench-crowd: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
bench-crowd: clients ?= 10000
bench-crowd: rounds ?= 3
bench-crowd: ## how a crowd is turned away, and what that costs: make bench-crowd [clients=10000] [rounds=3]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench-crowd --clients $(clients) --rounds $(rounds)

bench-mails: export STACK := bench-mails
bench-mails: export STACK_OFFSET := 22000
bench-mails: export SVC_IDENTITY__IDENTITY_VERIFY_AT_REGISTRATION := false
bench-mails: orders ?= 400
bench-mails: at_once ?= 1,8,16,1,8,16
bench-mails: ## how soon the buyers of one event have their mails: make bench-mails [orders=400] [at_once=1,8,16]
	cargo build --release --workspace --bins
	$(STACK_COMMAND) clean
	@trap '$(STACK_COMMAND) down' EXIT; trap 'exit 130' INT TERM; \
	$(STACK_COMMAND) up && $(STACK_COMMAND) exec $(BINARIES)/bench-mails --orders $(orders) --at-once $(at_once)

fmt: ## format the code
	cargo fmt --all

lint: ## what clippy has to say
	cargo clippy --workspace --all-targets -- -D warnings
