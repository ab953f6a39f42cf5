"""Workers of `scripts/benchmark.py`: one module per way to train the same network on the same data.

A module has `prepare(workload, path) -> Trainer`, `versions() -> dict`, and where it can `matmul(size)`, one large
product for the peak, and `run_lattice(lattice) -> dict`, a whole study.
"""
