"""What a check costs: `bench.startup` and `bench.sizes`."""
