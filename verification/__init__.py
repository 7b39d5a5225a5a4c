"""Long-running proofs: the kill matrix, the soak, the fault lab, the fuzzer. They share the tests' installations."""
