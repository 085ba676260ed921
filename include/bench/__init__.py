"""Side-by-side benchmarks: every figure is a ratio between contenders of one run on one machine."""
