"""Tests of the stack tool. `make test` runs them; by hand:

    cd infra/local && python3 -m unittest -v stack_tests.test_parts stack_tests.test_stack
"""
