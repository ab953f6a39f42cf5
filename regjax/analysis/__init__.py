"""Statistics of a run directory, without jax."""
