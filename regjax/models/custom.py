"""Networks given from Python: a `Model` as it is, or a `Settings` class of the user's own."""

import functools
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import jax
import numpy as np

from regjax.models.base import Model, Settings
from regjax.parts import part


class Given(Settings):
    """Settings of a `Model` that was given as it is: none."""

    model: ClassVar[Model]

    @property
    def num_hidden(self) -> int:
        """Number of hidden sites, as the model says."""
        return self.model.num_hidden

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the model."""
        return self.model


def as_settings(model: Model | type[Settings]) -> type[Settings]:
    """Return the class behind `model.name = "custom"`: the given one, or one without settings that makes the model.

    Raises:
      TypeError: it is neither a `Model` nor a `Settings` class made by `part`.
    """
    if isinstance(model, type) and issubclass(model, Settings) and hasattr(model, "__dataclass_fields__"):
        return model
    if not isinstance(model, Model):
        raise TypeError(
            f"got {model!r} as model, expected a regjax.Model(init, apply) or a class made by @regjax.part from "
            "regjax.ModelSettings"
        )

    return _give(model)


# Cells share a program when their settings are equal, which two classes never are: make each once.
@functools.cache
def _give(model: Model) -> type[Settings]:
    return part(type("Given", (Given,), {"model": model}))


def describe_model(model: Model, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what tells a network given from Python from others: what its functions compute, traced on one example.

    Args:
      model: its functions.
      input_shape: of one example.
    """
    x = jax.ShapeDtypeStruct((1, *input_shape), "float32")
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, stats = jax.eval_shape(model.init, key, x)
    sites: list[Any] = []

    def tap(site: Any, h: jax.Array) -> jax.Array:
        sites.append((site.name, site.kind, site.index))
        return h

    def apply(train: bool) -> Any:
        return lambda params, stats, x: tuple(model.apply(params, stats, x, tap, train))

    made = (params, stats, x)
    traced = [jax.make_jaxpr(model.init)(key, x), *(jax.make_jaxpr(apply(train))(*made) for train in (True, False))]
    traced += _trace_gradients(apply(True), made)
    # Constants that a function captures are no part of a jaxpr's text, addresses of functions must not be.
    texts = [re.sub(r"0x[0-9a-f]+", "", str(jaxpr)) for jaxpr in traced]
    constants = [np.asarray(value).tolist() for jaxpr in traced for value in _constants(jaxpr)]
    return {"version": model.version, "sites": sites, "computes": texts, "constants": constants}


def _trace_gradients(apply: Any, made: tuple[Any, Any, Any]) -> list[Any]:
    """Return the gradients of a network's outputs, which rules of its own may make others than its outputs tell.

    In its parameters, and in its examples where these have one.
    """

    def pulled(place: int) -> Any:
        leaves, tree = jax.tree.flatten(made[place])
        smooth = [i for i, leaf in enumerate(leaves) if jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)]

        def gradient(*values: Any) -> Any:
            flat = jax.tree.leaves(values[place])

            def outputs(some: list[jax.Array]) -> list[jax.Array]:
                whole = dict(enumerate(flat)) | dict(zip(smooth, some, strict=True))
                found = apply(*values[:place], jax.tree.unflatten(tree, whole.values()), *values[place + 1 :])
                ends = map(jax.numpy.asarray, jax.tree.leaves(found))
                return [one for one in ends if jax.numpy.issubdtype(one.dtype, jax.numpy.inexact)]

            found, pull = jax.vjp(outputs, [flat[i] for i in smooth])
            return pull([jax.numpy.ones_like(one) for one in found])

        return jax.make_jaxpr(gradient)(*made)

    try:
        return [pulled(0), pulled(2)]
    except (TypeError, ValueError):
        # A loop of unknown length on examples has no gradient in them, and no rule for one.
        return [pulled(0)]


def _constants(jaxpr: Any) -> Iterator[Any]:
    """Yield the arrays that a closed jaxpr and those within it hold."""
    yield from getattr(jaxpr, "consts", ())
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(inner, "eqns"):
                    yield from _constants(inner)
