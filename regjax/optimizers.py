"""Optimizers: a direction from optax, a traced learning rate, a schedule of its course."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from regjax.parts import hyper, part, setting


@part
class Schedule:
    """Course of the learning rate: a factor in [0, 1] of the study's `learning_rate`, after a linear warm-up.

        warm-up: factor = (t + 1) / warmup_steps for t < warmup_steps
        constant: 1;   step: decay ** floor(t / every)
        cosine: (1 + cos(pi s)) / 2,   s = frac(cycles (t - warmup) / (steps - warmup)), 1 at the end

    Attributes:
      name: "constant", "cosine" or "step".
      warmup_steps: updates over which the rate rises linearly; 0 for none.
      every: for "step": updates between two drops.
      decay: for "step": factor of a drop.
      cycles: for "cosine": equal cycles, each of which begins at the full rate; 1 for no restart.

    Reference: Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017). Departure: cycles are
    equally long (T_mult = 1) and reach 0; with the averages over cycles this is the course of Huang, Li, Pleiss, Liu,
    Hopcroft, Weinberger, "Snapshot ensembles: train 1, get M for free" (2017).
    """

    name: Literal["constant", "cosine", "step"] = "constant"
    warmup_steps: int = setting(default=0, range="[0, inf)")
    every: int = setting(default=0, range="[0, inf)")
    decay: float = setting(default=0.1, range="(0, 1]")
    cycles: int = setting(default=1, range="[1, 1000]")

    def factor(self, step: jax.Array, steps: int) -> jax.Array:
        """Return the factor at update `step` (from 0) of `steps` in all.

        >>> round(float(Schedule("cosine").factor(jnp.int32(50), 100)), 6)
        0.5
        """
        t = jnp.asarray(step, jnp.float32)
        rising = (t + 1) / max(self.warmup_steps, 1)
        if self.name == "cosine":
            # Whole numbers: where a cycle begins no rounding decides.
            total = max(steps - self.warmup_steps, 1)
            done = jnp.clip(jnp.asarray(step) - self.warmup_steps, 0, total) * self.cycles
            share = (done - total * jnp.minimum(done // total, self.cycles - 1)) / total
            course = 0.5 * (1 + jnp.cos(jnp.pi * share))
        elif self.name == "step":
            course = jnp.float32(self.decay) ** jnp.floor(t / self.every)
        else:
            course = jnp.float32(1.0)
        return jnp.where(t < self.warmup_steps, rising, course)


@part
class SGD:
    """Stochastic gradient descent, optionally with (Nesterov) momentum.

        m <- momentum m + g;   u = m, or momentum m + g with nesterov;   w <- w - lr u

    Reference: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum" (2013); the form
    without dampening of optax and PyTorch.
    """

    learning_rate: float = hyper(range="(0, inf)", default=0.01, help="size of an update")
    schedule: Schedule = Schedule()
    momentum: float = setting(default=0.0, range="[0, 1)")
    nesterov: bool = False

    def direction(self) -> optax.GradientTransformation:
        """Return the transformation of gradients into u."""
        return optax.trace(self.momentum, self.nesterov) if self.momentum else optax.identity()

    def metric(self, state: Any, params: Any) -> Any:
        """Return by what each coordinate of a steady gradient is scaled: 1 / (1 - momentum)."""
        return jax.tree.map(lambda w: jnp.full_like(w, 1 / (1 - self.momentum)), params)


@part
class Adam:
    """Adam.

        m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  m_ = m / (1 - b1^t);  v_ = v / (1 - b2^t)
        optax: u = m_ / (sqrt(v_) + epsilon);   keras: u = m_ / (sqrt(v_) + epsilon / sqrt(1 - b2^t))

    Attributes:
      epsilon_style: "optax" adds epsilon after the bias correction, "keras" before it (the paper's "epsilon hat").

    Reference: Kingma, Ba, "Adam: a method for stochastic optimization" (2015).
    """

    learning_rate: float = hyper(range="(0, inf)", default=1e-3, help="size of an update")
    schedule: Schedule = Schedule()
    b1: float = setting(default=0.9, range="[0, 1)")
    b2: float = setting(default=0.999, range="[0, 1)")
    epsilon: float = setting(default=1e-8, range="(0, inf)")
    epsilon_style: Literal["optax", "keras"] = "optax"

    def direction(self) -> optax.GradientTransformation:
        """Return the transformation of gradients into u."""
        return _scale_by_adam(self.b1, self.b2, self.epsilon, before_correction=self.epsilon_style == "keras")

    def metric(self, state: Any, params: Any) -> Any:
        """Return by what each coordinate of an update was scaled: 1 / (sqrt(v_) + epsilon)."""
        root = jnp.sqrt(1 - self.b2 ** state.count.astype(jax.tree.leaves(state.nu)[0].dtype))
        added = self.epsilon if self.epsilon_style == "keras" else self.epsilon * root
        return jax.tree.map(lambda v: root / (jnp.sqrt(v) + added), state.nu)


@part
class RMSProp:
    """RMSprop.

        v <- rho v + (1 - rho) g^2;   u = g / (sqrt(v) + epsilon)

    Reference: Tieleman, Hinton, "Lecture 6.5 - RMSProp" (2012). Epsilon outside the root, as in Keras and PyTorch.
    """

    learning_rate: float = hyper(range="(0, inf)", default=1e-3, help="size of an update")
    schedule: Schedule = Schedule()
    rho: float = setting(default=0.9, range="[0, 1)")
    epsilon: float = setting(default=1e-7, range="(0, inf)")

    def direction(self) -> optax.GradientTransformation:
        """Return the transformation of gradients into u."""
        return _scale_by_rms(self.rho, self.epsilon)

    def metric(self, state: Any, params: Any) -> Any:
        """Return by what each coordinate of an update was scaled: 1 / (sqrt(v) + epsilon)."""
        return jax.tree.map(lambda v: 1 / (jnp.sqrt(v) + self.epsilon), state.nu)


def _scale_by_adam(b1: float, b2: float, epsilon: float, before_correction: bool) -> optax.GradientTransformation:
    """Return Adam with one scalar factor per update instead of a correction of each moment.

    With c_i = 1 - b_i^t both styles are sqrt(c2) / c1 * m / (sqrt(v) + e), e = epsilon before the correction and
    epsilon * sqrt(c2) after it. Dividing each moment by its own batched scalar, as optax does, was compiled to other
    bits on one device than on several. The moments have one product each, as in Keras: of the two in
    b1 m + (1 - b1) g the compiler fuses either one with the sum, and which one depends on what computes g, so that a
    penalty of strength 0 changed the last bit of the weights.
    """

    def update(updates: Any, state: optax.ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        mu = jax.tree.map(lambda m, g: m + (1 - b1) * (g - m), state.mu, updates)
        nu = jax.tree.map(lambda v, g: v + (1 - b2) * (jnp.square(g) - v), state.nu, updates)
        state = optax.ScaleByAdamState(state.count + 1, mu, nu)
        count = state.count.astype(jax.tree.leaves(updates)[0].dtype)
        root = jnp.sqrt(1 - b2**count)
        scale = root / (1 - b1**count)
        added = epsilon if before_correction else epsilon * root
        return jax.tree.map(lambda m, v: scale * m / (jnp.sqrt(v) + added), state.mu, state.nu), state

    return optax.GradientTransformation(optax.scale_by_adam(b1, b2).init, update)


def _scale_by_rms(rho: float, epsilon: float) -> optax.GradientTransformation:
    """Return RMSprop; its moment has one product, for the reason that Adam's have."""

    def update(updates: Any, state: optax.ScaleByRmsState, params: Any = None) -> tuple[Any, Any]:
        nu = jax.tree.map(lambda v, g: v + (1 - rho) * (jnp.square(g) - v), state.nu, updates)
        scaled = jax.tree.map(lambda v, g: g / (jnp.sqrt(v) + epsilon), nu, updates)
        return scaled, optax.ScaleByRmsState(nu)

    return optax.GradientTransformation(optax.scale_by_rms().init, update)


def learning_rate(optimizer: "Optimizer", step: jax.Array, steps: int) -> jax.Array:
    """Return the learning rate of update `step` (from 0) of `steps`: the study's rate times the schedule's factor."""
    return optimizer.learning_rate * optimizer.schedule.factor(step, steps)


Optimizer = SGD | Adam | RMSProp
# AdamW is Adam beside the regularizer `decay`; a study that names it must give `decay.strength` (config.py).
OPTIMIZERS: dict[str, type] = {"sgd": SGD, "adam": Adam, "adamw": Adam, "rmsprop": RMSProp}
