"""Regression: real targets by squared error."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import part
from regjax.tasks.base import NO_FIT, Fit, Sums, Task

# Below this share of the summed squares, what is left of them about the mean is float32 rounding.
LOST = 1e-6


@part
class Regression(Task):
    """Regression of `num_outputs` real values by squared error.

        t = (y - shift) / spread;   loss = mean over outputs of (output - t)^2

    Shift and spread are mean and standard deviation of the training rows, or 0 and 1 where targets are not scaled.
    Metrics are in the units of y, each the mean over outputs: mse, mae, and r2 = 1 - SSE / SST with the squares of SST
    taken about the mean of the very split (1 where both are 0, 0 where only SST is, as in scikit-learn).
    """

    num_targets: int
    has_classes: ClassVar[bool] = False
    batch_names: ClassVar[tuple[str, ...]] = ("mse",)

    @property
    def num_outputs(self) -> int:
        """One output per target."""
        return self.num_targets

    @property
    def prediction_names(self) -> tuple[str, ...]:
        """One value per target: value0, value1, ..."""
        return tuple(f"value{k}" for k in range(self.num_targets))

    def encode(self, labels: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return targets [batch, outputs] of labels [batch] or [batch, outputs], shifted and scaled by `fit`."""
        return (labels.reshape(len(labels), -1).astype(jnp.float32) - fit.shift) / fit.spread

    def loss(self, outputs: jax.Array, targets: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """Return the squared error [batch], mean over outputs; there are no classes to weigh."""
        return jnp.mean(jnp.square(outputs - targets.astype(outputs.dtype)), -1)

    def batch_metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return the squared error `mse` in units of y, mean over outputs, [batch]."""
        return {"mse": jnp.mean(jnp.square(self._errors(outputs, labels, fit)), -1)}

    def metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return the quantities [batch, outputs] of real labels; squares of y are about the training mean."""
        error = self._errors(outputs, labels, fit)
        # About a mean that is near: squares of y itself would leave float32 no digits for the variance.
        apart = labels.reshape(len(labels), -1).astype(outputs.dtype) - fit.centre
        return {
            "squared": jnp.square(error),
            "absolute": jnp.abs(error),
            "apart": apart,
            "apart_squared": jnp.square(apart),
        }

    def _errors(self, outputs: jax.Array, labels: jax.Array, fit: Fit) -> jax.Array:
        """Return prediction less label in units of y, [batch, outputs]."""
        return (outputs - self.encode(labels, fit).astype(outputs.dtype)) * fit.spread

    def summarise(self, sums: Sums, count: int) -> dict[str, Any]:
        """Return {metric: value} of sums over `count` examples."""
        total = sums["apart_squared"] - sums["apart"] * sums["apart"] / count
        flat = total <= LOST * sums["apart_squared"]
        share = (~flat) * (1.0 - sums["squared"] / (total + flat * (1.0 - total))) + flat * (sums["squared"] == 0)
        return {
            "mse": sums["squared"].mean(-1) / count,
            "mae": sums["absolute"].mean(-1) / count,
            "r2": share.mean(-1),
        }

    def predict(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return values [batch, outputs] in the units of y."""
        return outputs * fit.spread + fit.shift

    def link(self, averaged: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return outputs [batch, outputs] whose predictions these are."""
        return (averaged - fit.shift) / fit.spread
