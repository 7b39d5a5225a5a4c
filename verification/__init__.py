"""Long-running tests: the kill matrix, the soak, the fault lab, the fuzzer. They use the installations of the tests."""
