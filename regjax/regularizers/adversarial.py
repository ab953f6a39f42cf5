"""Training on examples that are perturbed against the network."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Seen


@part
class FGSM(Regularizer):
    """Adversarial training by the fast gradient sign method.

        loss <- (1 - share) L(x) + share L(x'),   x' = x + radius sign(dL/dx), a constant to the gradient

    Both losses and the perturbation are of one noise. The radius is in the units of the scaled inputs.
    Off, beside batch norm, last bits may differ from those of a program without (2e-7 after 100 updates).

    Reference: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples" (2015), where the share is
    1/2. Departure: perturbed inputs are not clipped to the range of the data.
    """

    costly: ClassVar[tuple[str, ...]] = ("share",)
    passes: ClassVar[float] = 2.0

    share: float | None = hyper(off=0.0, range="[0, 1]", help="weight of the loss on perturbed inputs")
    radius: float = hyper(range="[0, inf)", default=0.1, help="size of the perturbation of each scaled input")

    def penalty(self, seen: Seen, now: Now) -> jax.Array | None:
        """Return share * (mean loss on perturbed inputs - mean loss)."""
        if self.share is None:
            return None
        x, y = seen.batch.x, seen.batch.y
        # With its parameters as constants: else jax would differentiate the slope as well, only to throw that away.
        network, closed_over = jax.closure_convert(seen.network, x)
        constants = jax.lax.stop_gradient(closed_over)
        slope = jax.grad(lambda x: jnp.sum(seen.loss(network(x, *constants), y)))(x)
        perturbed = jax.lax.stop_gradient(x + self.radius * jnp.sign(slope))
        return self.share * (jnp.mean(seen.loss(seen.network(perturbed), y)) - jnp.mean(seen.loss(seen.outputs, y)))
