"""What is done to examples: images moved and hidden, examples mixed, labels corrupted."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from scipy import stats

from regjax.regularizers import Augment, Batch, CutMix, Cutout, InputNoise, LabelNoise, Mixup, RandomErasing
from regjax.regularizers.augment import shift_images
from regjax.regularizers.base import Now
from regjax.regularizers.draws import draw_beta

IMAGES = np.random.default_rng(0).uniform(0.5, 1, size=(64, 9, 11)).astype("float32")
LABELS = np.arange(64) % 4


def make_now(seed=0, step=0):
    """Return a moment that has nothing but draws."""
    return Now(jnp.int32(step), 100, jnp.float32(0), small.make_seed(seed).streams, {}, {})


def apply(part, x=IMAGES, rows=None, seed=0, step=0):
    """Return (inputs, targets) of a batch after one regularizer."""
    y = jax.nn.one_hot(jnp.asarray(LABELS), 4)
    rows = jnp.arange(64, dtype=jnp.int32) if rows is None else rows
    found = part.batch(Batch(jnp.asarray(x), y, rows), make_now(seed, step))
    return np.asarray(found.x), np.asarray(found.y)


def test_a_shift_equals_roll_with_zeros():
    """Each image is NumPy's roll by its own shift, the part that came around set to zero; colours move together."""
    down, right = np.array([0, 3, -2, 9, -9]), np.array([0, -4, 1, 2, 30])
    x = np.random.default_rng(1).normal(size=(5, 9, 11, 3)).astype("float32")
    found = np.asarray(shift_images(jnp.asarray(x), jnp.asarray(down), jnp.asarray(right)))

    for image, moved, d, e in zip(x, found, down, right, strict=True):
        padded = np.roll(np.pad(image, ((40, 40), (40, 40), (0, 0))), (d, e), axis=(0, 1))
        np.testing.assert_array_equal(moved, padded[40:49, 40:51])


def test_shifts_are_uniform_up_to_the_largest():
    """Of many images each of the 5 x 5 shifts up to 2 pixels takes its share (chi-square)."""
    x = np.zeros((5000, 9, 9), "float32")
    x[:, 4, 4] = 1
    batch = Batch(jnp.asarray(x), jnp.zeros((5000, 2)), jnp.zeros(5000, jnp.int32))
    where = np.asarray(Augment(shift=2.0).batch(batch, make_now()).x).reshape(5000, -1).argmax(axis=1)
    counts = np.bincount(where, minlength=81).reshape(9, 9)

    assert counts.sum() == counts[2:7, 2:7].sum() == 5000
    assert stats.chisquare(counts[2:7, 2:7].ravel()).pvalue > 1e-3


def test_flips_are_mirror_images_and_their_own_inverse():
    """At probability 1 every image is mirrored, twice is the identity; at 0.5 about half are, nested in higher ones."""
    mirrored = apply(Augment(flip=1.0))[0]
    np.testing.assert_array_equal(mirrored, IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(apply(Augment(flip=1.0), x=mirrored)[0], IMAGES)

    some, more = (np.any(apply(Augment(flip=p))[0] != IMAGES, axis=(1, 2)) for p in (0.5, 0.7))
    assert 20 <= some.sum() <= 44
    assert (some <= more).all()
    assert some.sum() < more.sum()


def test_a_shift_left_out_is_one_of_zero():
    """A shift of None leaves the flips as they are, and moves nothing."""
    np.testing.assert_array_equal(apply(Augment(flip=0.5, shift=None))[0], apply(Augment(flip=0.5, shift=0.0))[0])


def test_cutout_hides_squares_nested_in_size():
    """Where the border does not cut it the hidden part is size x size; larger squares hold smaller ones."""
    hidden = [apply(Cutout(size=float(size)))[0] == 0 for size in (1, 3, 4, 40)]
    areas = [h.sum(axis=(1, 2)) for h in hidden]

    assert (areas[0] == 1).all()
    assert (areas[1].max(), areas[2].max(), areas[3].min()) == (9, 16, 99)
    assert all((low <= high).all() for low, high in itertools.pairwise(hidden))


def test_random_erasing_erases_its_share_inside_of_the_image():
    """About `rate` of the images lose a rectangle of 2% to 40% of their area up to rounding; examples are nested."""
    hidden = [apply(RandomErasing(rate=rate))[0] == 0 for rate in (0.3, 0.6, 1.0)]
    erased = [h.any(axis=(1, 2)) for h in hidden]

    assert [round(e.mean(), 1) for e in erased] == pytest.approx([0.3, 0.6, 1.0], abs=0.15)
    assert (erased[0] <= erased[1]).all()
    for image in hidden[2]:
        rows, columns = image.any(axis=1), image.any(axis=0)
        assert image.sum() == rows.sum() * columns.sum()
        assert image.sum() <= 0.4 * 99 * 1.35


def test_mixup_at_a_given_weight_equals_numpy():
    """Inputs and targets are blended with the next example's by one weight of at least a half."""
    x, y = apply(Mixup(alpha=1.0))
    given = np.eye(4)[LABELS]
    own = y[0, LABELS[0]]

    assert 0.5 <= own < 1
    for found, v in ((x, IMAGES), (y, given)):
        np.testing.assert_allclose(found, own * v + (1 - own) * np.roll(v, -1, axis=0), atol=1e-6)


def test_mixup_goes_to_nothing_continuously():
    """For the same draws a smaller alpha mixes less, and a tiny one not at all."""
    own = [apply(Mixup(alpha=a))[1][0, 0] for a in (1e-6, 0.1, 0.4, 2.0)]

    assert own[0] == 1
    assert (np.diff(own) < 0).all()


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0, 1000.0])
def test_beta_draws_have_the_beta_distribution(alpha):
    """The draws pass the Kolmogorov-Smirnov test against scipy's Beta(alpha, alpha)."""
    with jax.enable_x64(True):  # in float32 a tenth of the draws at 0.1 round to 1
        keys = jax.random.split(jax.random.key(0, impl="threefry2x32"), 4000)
        draws = np.asarray(jax.vmap(lambda key: draw_beta(key, jnp.float64(alpha)))(keys))

    assert stats.kstest(draws, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_cutmix_mixes_targets_by_the_area_replaced():
    """One rectangle of every image is the next one's, and the share of the partner's label is its share of the area."""
    areas = []
    for step in range(12):
        x, y = apply(CutMix(alpha=1.0), step=step)
        box = (x != IMAGES).any(axis=0)
        np.testing.assert_array_equal(x[:, box], np.roll(IMAGES, -1, axis=0)[:, box])
        assert box.sum() == box.any(axis=1).sum() * box.any(axis=0).sum()
        assert y[0, 1] == pytest.approx(box.mean(), abs=1e-6)
        areas.append(box.mean())
    assert np.ptp(areas) > 0.1


def test_the_share_of_wrong_labels_is_the_rate():
    """Of 20000 examples the mislabelled share lies in the binomial bounds, never as given, other classes equally."""
    rows = jnp.arange(20000, dtype=jnp.int32)
    labels = np.arange(20000) % 4
    batch = Batch(jnp.zeros((20000, 1)), jax.nn.one_hot(labels, 4), rows)
    wrong = {}
    for rate in (0.1, 0.4, 1.0):
        found = np.asarray(LabelNoise(rate=rate).batch(batch, make_now()).y).argmax(axis=1)
        wrong[rate] = found != labels
        assert abs(wrong[rate].mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / 20000)
        counts = np.bincount(((found - labels) % 4)[wrong[rate]], minlength=4)
        assert stats.chisquare(counts[1:]).pvalue > 1e-3
    assert (wrong[0.1] <= wrong[0.4]).all()


def test_a_label_belongs_to_the_row():
    """An example is mislabelled alike in every batch, place and update of a seed; another seed draws anew."""
    rows = jnp.asarray(np.random.default_rng(0).permutation(64), jnp.int32)
    first = apply(LabelNoise(rate=0.5))[1]
    y = jax.nn.one_hot(jnp.asarray(LABELS), 4)[rows]
    later = LabelNoise(rate=0.5).batch(Batch(jnp.asarray(IMAGES), y, rows), make_now(step=7)).y

    np.testing.assert_array_equal(later, first[np.asarray(rows)])
    assert (apply(LabelNoise(rate=0.5), seed=1)[1] != first).any()


def test_input_noise_has_its_scale():
    """The noise has mean 0 and standard deviation `scale`, differs from update to update, and a None leaves it out."""
    noise = (apply(InputNoise(scale=0.3))[0] - IMAGES).ravel()

    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(0.3, rel=0.03)
    assert np.abs(apply(InputNoise(scale=0.3), step=1)[0] - apply(InputNoise(scale=0.3))[0]).max() > 0.1
    np.testing.assert_array_equal(apply(InputNoise(scale=None))[0], IMAGES)
