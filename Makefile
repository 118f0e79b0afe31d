# Each target is a script of tests/machine; what a machine lacks is said before anything slow.
.PHONY: help demo test test-full bench bundle lint lint-generated testbed-up testbed-down clean
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
demo: ## examples/todo from source to verified pods, a broken revision, its rollback, the report
	@tests/machine/demo.sh
test: ## everything that must hold, the tests on a real cluster included; what CI runs
	@tests/machine/test.sh short
test-full: ## the same and the long tier, on both container runtimes and both Helm majors
	@tests/machine/test.sh full
bench: ## the figures: start, memory, sizes, latency, beside a bare server
	@tests/machine/bench.sh
bundle: ## an MCPB bundle, server.json, completions and man pages, in target/bundle
	@tests/machine/bundle.sh
lint: ## format, clippy, shell scripts
	@tests/machine/test.sh lint
lint-generated: ## everything generated for every fixture through hadolint, checkov, kube-score and kubeconform
	@tests/machine/lint-generated.sh full
testbed-up: ## a cluster for tests, without running any
	@tests/machine/machine.sh up
testbed-down: ## stop it; it starts again in half a minute
	@tests/machine/machine.sh down
clean: ## what was built here; the clusters and their cache stay (tests/machine/machine.sh remove)
	@cargo clean
