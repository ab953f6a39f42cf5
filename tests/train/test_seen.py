"""What a penalty is shown of the forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import small_runs as small
from small_blocks import Blocks

from regjax.regularizers import ActivationL1
from regjax.regularizers.base import Batch
from regjax.train.step import compute_objective


def test_activation_penalties_leave_residual_branches_alone():
    """Of a residual network the penalty is the mean sum of |h| over its hidden sites; branches are not counted."""
    x = np.random.default_rng(0).normal(size=(5, small.NUM_FEATURES)).astype(np.float32)
    batch = Batch(jnp.asarray(x), jnp.eye(small.NUM_CLASSES)[jnp.zeros(5, int)], jnp.arange(5))
    recipe = small.make_recipe(model=Blocks())
    params, stats = recipe.model.init(jax.random.key(0), batch.x)
    plain, _ = compute_objective(recipe, (), batch, params, stats)
    penalised, _ = compute_objective(recipe, ((ActivationL1(1.0), None),), batch, params, stats)
    layer = params["hidden_0"]
    hidden = np.maximum(x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]), 0)
    np.testing.assert_allclose(penalised - plain, np.abs(hidden).sum() / 5, rtol=1e-5)
