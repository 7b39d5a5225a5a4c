"""What a check costs: `bench.startup`, `bench.sizes` and `bench.dispatch`."""
