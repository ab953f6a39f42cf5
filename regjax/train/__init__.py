"""Training: one member as a pure function, the population, its layout on devices, its checkpoints."""
