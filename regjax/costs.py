"""What things cost, as measured: the constants that the planner weighs. None of them changes a number of a run.

Measured on two cores of an AMD EPYC with jax 0.10 (`docs/engine.md`); another machine is within a small factor.
"""

# One draw of dropout and its mask, forward and backward, on one CPU core.
SECONDS_PER_DRAW = 7e-10
# One floating-point operation of a forward and backward pass, on one CPU core.
SECONDS_PER_FLOP = 3e-11
# One more population program, compiled beside others.
SECONDS_PER_PROGRAM = 4.0
# Time of a member whose row shares draws and batches, to that of one alone in its row: 0.75 to 0.9 over four networks.
SHARED_ROW = 0.85
# On a CPU more members at once get slower when their arrays leave the caches: measured best at 1 (784-512-512-10) and
# 8 to 16 (64-128-128-10) members per device; 32 of the latter took 1.3 times as long per member.
CPU_STATE_BYTES = 15 * 2**20
MAX_SLOTS = 16
