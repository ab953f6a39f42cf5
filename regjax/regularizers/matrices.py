"""Penalties on weight matrices as a whole: where they started, their columns' angles, their largest singular value."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer, Seen


def flatten(w: jax.Array) -> jax.Array:
    """Return a kernel as a matrix [weights into a unit, units]."""
    return w.reshape(-1, w.shape[-1])


def find_matrices(params: Params) -> list[jax.Array]:
    """Return every leaf of two axes or more as a matrix [weights into a unit, units]."""
    return [flatten(w) for w in jax.tree.leaves(params) if w.ndim >= 2]


@part
class L2SP(Regularizer):
    """L2 penalty on the way from the initial weights.

        loss <- loss + strength / 2 * sum_i (w_i - w0_i)**2,   w0 the weights before the first update

    Its memory is a copy of the initial parameters.

    Reference: Li, Grandvalet, Davoine, "Explicit inductive bias for transfer learning with convolutional networks"
    (2018). Departure: w0 is the random start of this run, where theirs is a network trained on another task.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of half the squared distance from the start")

    def init(self, params: Params) -> Params:
        """Return the initial parameters."""
        return params

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength / 2 * sum (w - w0)**2 over the selected leaves."""
        pairs = zip(now.select(seen.params), now.select(now.memory), strict=True)
        return 0.5 * self.strength * sum((jnp.sum(jnp.square(w - start)) for w, start in pairs), jnp.zeros(()))


@part
class Orthogonality(Regularizer):
    """Soft orthogonality: the units of a layer are drawn to orthogonal weight vectors of length one.

        loss <- loss + strength / 2 * sum over layers of ||G - I||_F**2,   G = W^T W, or W W^T where that is smaller

    W [weights into a unit, units]; of a wide layer the rows are drawn to be orthonormal, for its columns cannot be.
    The products cost time where the strength is 0 too, so that None leaves them out.

    Reference: Bansal, Chen, Wang, "Can we gain more from orthogonality regularizations in training deep networks?"
    (2018); Brock, Lim, Ritchie, Weston, "Neural photo editing with introspective adversarial networks" (2017).
    Departure: theirs always has W^T W; the half is ours.
    """

    costly: ClassVar[tuple[str, ...]] = ("strength",)
    passes: ClassVar[float] = 1.0

    strength: float | None = hyper(off=0.0, range="[0, inf)", help="coefficient of half the squared error of W^T W = I")

    def penalty(self, seen: Seen, now: Now) -> jax.Array | None:
        """Return strength / 2 * sum ||G - I||_F**2 over the selected matrices; None where the strength is None."""
        if self.strength is None:
            return None

        def stray(w: jax.Array) -> jax.Array:
            gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
            return jnp.sum(jnp.square(gram - jnp.eye(len(gram), dtype=w.dtype)))

        return 0.5 * self.strength * sum(map(stray, find_matrices(now.select(seen.params))), jnp.zeros(()))


@part
class SpectralNorm(Regularizer):
    """Spectral norm regularization: the largest singular value of every layer is kept small.

        loss <- loss + strength / 2 * sum over layers of sigma(W)**2,   gradient strength * sigma v u^T
        u <- W^T W u / ||W^T W u||: one power iteration an update;   sigma ~ ||W u||, u held fixed in the gradient

    W [weights into a unit, units]; a convolution's kernel is flattened so. The memory holds u of every matrix; the
    first iteration starts from equal entries, so that nothing is drawn. An estimate is never above the norm.

    Reference: Yoshida, Miyato, "Spectral norm regularization for improving the generalizability of deep learning"
    (2017). Departure: the start of u is fixed, where theirs is random.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of half the squared largest singular value")

    def init(self, params: Params) -> tuple[jax.Array, ...]:
        """Return u [units] of every matrix after one power iteration."""
        return tuple(iterate(w, jnp.full(w.shape[1:], w.shape[1] ** -0.5, w.dtype)) for w in find_matrices(params))

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength / 2 * sum ||W u||**2 over the selected matrices."""
        chosen = [flag for w, flag in zip(*map(jax.tree.leaves, (seen.params, now.mask)), strict=True) if w.ndim >= 2]
        total = jnp.zeros(())
        for w, u, selected in zip(find_matrices(seen.params), now.memory, chosen, strict=True):
            total = total + jnp.sum(jnp.square(w @ u)) if selected else total
        return 0.5 * self.strength * total

    def remember(self, params: Params, now: Now) -> tuple[jax.Array, ...]:
        """Return u of every matrix after one more power iteration."""
        return tuple(iterate(w, u) for w, u in zip(find_matrices(params), now.memory, strict=True))


def iterate(w: jax.Array, u: jax.Array) -> jax.Array:
    """Return a unit vector u [units] after a power iteration with w [inputs, units]; as it was where w u is zero."""
    moved = w.T @ (w @ u)
    norm = jnp.linalg.norm(moved)
    return jnp.where(norm > 0, moved / jnp.where(norm > 0, norm, 1.0), u)
