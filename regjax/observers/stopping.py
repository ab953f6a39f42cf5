"""Stopping criteria, judged at every evaluation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part


class Watch(NamedTuple):
    """What the stopping criteria remember of a run.

    Attributes:
      best, best_step: last improvement and its step.
      wait: evaluations since.
      stopped: step of the stop, -1 for none.
      lowest: smallest value so far.
      judged: evaluations so far.
      strip_sum, strip_min: of the training loss in the current strip.
      strip_last: value at the end of the strip before.
      rises: strips in a row at whose end the value had risen.
    """

    best: jax.Array
    best_step: jax.Array
    wait: jax.Array
    stopped: jax.Array
    lowest: jax.Array
    judged: jax.Array
    strip_sum: jax.Array
    strip_min: jax.Array
    strip_last: jax.Array
    rises: jax.Array


@part
class EarlyStopping:
    """Early stopping by patience and by Prechelt's three criteria; a run stops at the first that holds.

        v_t monitored value at evaluation t, o_t = min_{s<=t} v_s, l_t mean training loss since evaluation t - 1
        patience: `patience` evaluations in a row without v_t < best - min_delta
        GL: GL_t = 100 (v_t / o_t - 1) > gl
        PQ: at the end of a strip of k evaluations, GL_t / P_t > pq,
            P_t = 1000 (mean of l in the strip / min of l in the strip - 1), where that min is positive
        UP: `up` strips in a row at whose end v_t > v_{t-k}

    The best point moves on an improvement only. Off is never. With `restore` the run ends in its best state, else in
    the state at the stop. A run that never stops and restores ends in its best state too, as in Keras 3. What a run
    would have given without the stop is a level of the same factor: both watch one course of training.

    Reference: Prechelt, "Early stopping - but when?" (1998), for GL, PQ and UP; patience and its strict inequality are
    those of Keras' EarlyStopping. Departure: all count evaluations of the study, not epochs; the training loss is the
    mean objective of the updates, penalties and noise included; a strip where that falls to zero or below, as with
    `confidence_penalty`, has no progress by which PQ could judge, and stops nothing.
    """

    patience: float = hyper(
        off=float("inf"), range="[1, inf]", integer=True, help="evaluations without improvement before the stop"
    )
    gl: float = hyper(off=float("inf"), range="[0, inf]", help="percent above the lowest value that stop (GL)")
    pq: float = hyper(off=float("inf"), range="[0, inf]", help="quotient of GL and training progress that stops (PQ)")
    up: float = hyper(
        off=float("inf"), range="[1, inf]", integer=True, help="strips in a row with a rise that stop (UP)"
    )
    strip: float = hyper(range="[1, inf)", default=5.0, integer=True, help="evaluations of a strip, for pq and up")
    min_delta: float = hyper(range="[0, inf)", default=0.0, help="smallest decrease that counts as improvement")
    restore: float = hyper(range="[0, 1]", default=1.0, flag=True, help="end in the best state instead of the last")

    @property
    def thresholds(self) -> tuple[float, ...]:
        """What each criterion waits for; infinite where it is off."""
        return (self.patience, self.gl, self.pq, self.up)

    def init(self) -> Watch:
        """Return the memory before the first evaluation."""
        inf, zero, none = jnp.float32(jnp.inf), jnp.int32(0), jnp.int32(-1)
        return Watch(inf, none, zero, none, inf, zero, jnp.float32(0), inf, inf, zero)

    def judge(self, watch: Watch, value: jax.Array, loss: jax.Array, step: jax.Array) -> tuple[Watch, jax.Array]:
        """Return the new memory and whether this evaluation is the best so far.

        Args:
          watch: memory after the previous evaluation.
          value: monitored value, smaller is better; NaN never improves.
          loss: mean training loss since the previous evaluation.
          step: updates made so far.
        """
        running = watch.stopped < 0
        # Off equals absent: without a patience the best point is the plain minimum.
        least = jnp.where(jnp.isinf(self.patience), 0.0, self.min_delta)
        improved = running & (value < watch.best - least)
        wait = jnp.where(improved, 0, watch.wait + 1)
        lowest = jnp.fmin(watch.lowest, value)
        judged = watch.judged + 1
        ended = judged % self.strip == 0
        total, smallest = watch.strip_sum + loss, jnp.minimum(watch.strip_min, loss)
        rises = jnp.where(ended, jnp.where(value > watch.strip_last, watch.rises + 1, 0), watch.rises)
        # Quotients are multiplied out: nothing is divided by a lowest value or a progress of zero.
        rise = 100 * (value - lowest)
        progress = 1000 * (total / (self.strip * smallest) - 1)
        stop = (
            (wait >= self.patience)
            | (jnp.isfinite(self.gl) & (rise > self.gl * lowest))
            | (jnp.isfinite(self.pq) & ended & (smallest > 0) & (rise > self.pq * progress * lowest))
            | (ended & (rises >= self.up))
        )
        new = Watch(
            best=jnp.where(improved, value, watch.best),
            best_step=jnp.where(improved, step, watch.best_step),
            wait=wait,
            stopped=jnp.where(stop, step, watch.stopped),
            lowest=lowest,
            judged=judged,
            strip_sum=jnp.where(ended, 0.0, total),
            strip_min=jnp.where(ended, jnp.inf, smallest),
            strip_last=jnp.where(ended, value, watch.strip_last),
            rises=rises,
        )
        # A run that is over remembers what it knew at its end, however long its course of training goes on.
        return jax.tree.map(lambda found, old: jnp.where(running, found, old), new, watch), improved
