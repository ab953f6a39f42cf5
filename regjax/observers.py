"""What watches training and does not alter it: stopping criteria, judged at every evaluation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part


class Watch(NamedTuple):
    """What a stopping criterion remembers: `best` value, `best_step`, `wait` evaluations since, `stopped` step."""

    best: jax.Array
    best_step: jax.Array
    wait: jax.Array
    stopped: jax.Array


@part
class Patience:
    """Early stopping: stop after `patience` evaluations in a row without improvement of the monitored value.

        improved_t = v_t < best - min_delta;   stop at the first t with wait_t >= patience

    The best point moves on an improvement only. Off is never. With `restore` the run ends in its best state, else in
    the state at the stop. A run that never stops and restores ends in its best state too, as in Keras 3.

    Reference: Prechelt, "Early stopping - but when?" (1998), for the question; the rule and its strict inequality are
    those of Keras' EarlyStopping. Departure: patience counts evaluations of the study, not epochs.
    """

    patience: float = hyper(off=float("inf"), range="[1, inf]", help="evaluations without improvement before the stop")
    min_delta: float = hyper(range="[0, inf)", default=0.0, help="smallest decrease that counts as improvement")
    restore: float = hyper(range="[0, 1]", default=1.0, flag=True, help="end in the best state instead of the last")

    def init(self) -> Watch:
        """Return the memory before the first evaluation."""
        return Watch(jnp.float32(jnp.inf), jnp.int32(-1), jnp.int32(0), jnp.int32(-1))

    def judge(self, watch: Watch, value: jax.Array, step: jax.Array) -> tuple[Watch, jax.Array]:
        """Return the new memory and whether this evaluation is the best so far.

        Args:
          watch: memory after the previous evaluation.
          value: monitored value, smaller is better; NaN never improves.
          step: updates made so far.
        """
        running = watch.stopped < 0
        # Off equals absent: without early stopping the best point is the plain minimum.
        least = jnp.where(jnp.isinf(self.patience), 0.0, self.min_delta)
        improved = running & (value < watch.best - least)
        wait = jnp.where(improved, 0, watch.wait + running)
        stop = running & (wait >= self.patience)
        return Watch(
            best=jnp.where(improved, value, watch.best),
            best_step=jnp.where(improved, step, watch.best_step),
            wait=wait,
            stopped=jnp.where(stop, step, watch.stopped),
        ), improved


OBSERVERS: dict[str, type[Patience]] = {"early_stopping": Patience}
