"""What things cost, as measured: the constants that the planner weighs. None of them changes a number of a run.

Measured on two cores of an AMD EPYC with jax 0.10 (`docs/engine.md`); another machine is within a small factor.
"""

# One draw of dropout and its mask, forward and backward, on one CPU core.
SECONDS_PER_DRAW = 7e-10
# One more population program, compiled beside others.
SECONDS_PER_PROGRAM = 4.0
# Parameters of a network up to which the members of a row gain by sharing draws and batches: above, the matrix products
# take all the time, and with a shared input are a little slower.
NESTED_PARAMS = 200_000
