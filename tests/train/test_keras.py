"""The mission's network against Keras, update by update, in float64."""

import gzip
import importlib.util
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from keras_peer import ask

from regjax.keys import stream_key
from regjax.models import MLP
from regjax.optimizers import Adam

STEPS, BATCH = 200, 128
WIDTHS = (512, 512)


def make_images() -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images [200, 128, 784] and labels: sparse strokes whose class a fixed linear map decides."""
    generator = np.random.default_rng(0)
    lit = generator.random((STEPS, BATCH, 784)) < 0.2
    images = np.where(lit, generator.integers(1, 256, lit.shape), 0).astype(np.uint8)
    return images, np.argmax(images @ generator.normal(size=(784, 10)), -1).astype(np.int32)


def read_images(folder) -> tuple[np.ndarray, np.ndarray]:
    """Return the first 25,600 training images of MNIST in batches, and their labels."""
    count = STEPS * BATCH
    with gzip.open(folder / "mnist" / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(16 + count * 784), np.uint8, offset=16)
    with gzip.open(folder / "mnist" / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(8 + count), np.uint8, offset=8)
    return images.reshape(STEPS, BATCH, 784), labels.reshape(STEPS, BATCH).astype(np.int32)


@pytest.fixture
def data_folder() -> Path:
    """Return the folder where real data may be; without it the test makes its own images."""
    return Path(os.environ.get("REGJAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_losses_equal_keras(tmp_path, data_folder):
    """200 updates of 784-512-512-10 with Keras' Adam have Keras' losses to 1e-8, and its weights at the end."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is absent (install the extra 'dev')")
    x, y = read_images(data_folder) if (data_folder / "mnist").is_dir() else make_images()
    with jax.enable_x64(True):
        recipe = small.make_recipe(
            optimizer=Adam(1e-3, epsilon=1e-7, epsilon_style="keras"),
            model=MLP(WIDTHS),
            dtype="float64",
            num_outputs=10,
        )
        seed = small.make_seed(1, "float64")
        seed = seed._replace(scale=seed.scale._replace(factor=np.float64(1 / 255)))
        train = jax.jit(lambda recipe, x, y: small.train(recipe, seed, seed.scale.apply(x), y))
        state, sums = train(small.traced(recipe, "float64"), jnp.asarray(x), y)
        begin = small.flat(recipe.model.init(stream_key(1, "init"), jnp.ones((1, 784)))[0])

    names = [f"{layer}/{kind}" for layer in ("hidden_0", "hidden_1", "output") for kind in ("kernel", "bias")]
    keras = ask("losses", tmp_path, x=x, y=y, **{f"w{i}": begin[name] for i, name in enumerate(names)})
    assert sums["loss"].dtype == np.float64
    assert keras["losses"][-1] < 0.8 * keras["losses"][0]
    np.testing.assert_allclose(sums["loss"], keras["losses"], rtol=1e-8)
    for i, name in enumerate(names):
        np.testing.assert_allclose(small.flat(state.params)[name], keras[f"w{i}"], rtol=0, atol=1e-7, err_msg=name)
