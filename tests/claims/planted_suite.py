"""A suite of claims that are true or false by construction, on a few real digits."""

from pathlib import Path

import numpy as np

from regjax.claims.options import Number
from regjax.results import Results

STUDY = """
question = "What does far too much L2 do?"
primary = { metric = "test.nll", at = "best", margin = 0.01 }
data = { name = "digits", split = { train = 96, validation = 64, test = 128 } }
model = { name = "mlp", widths = [16] }
optimizer = { name = "adam", learning_rate = 0.01 }
training = { steps = 60, batch_size = 32, evaluate_every = { steps = 20 } }
seeds = { count = 8 }
factors = { "l2.strength" = [0.0, 1.0, 100.0], "dropout.hidden" = [0.0, 0.5] }
[design]
strata = ["dropout.hidden"]
[[contrasts]]
name = "best L2"
of = "best_level(l2.strength)"
test = "effect"
by = "dropout.hidden"
"""
CLAIM = """
[claim]
id = "{id}"
statement = "{statement}"
measured = "A study of eight seeds."
moderator = "{moderator}"
[studies]
main = {{ file = "studies/l2.toml" }}
"""
# A strength of 100 leaves a network that says the same of every image: that it helps is false by construction.
FALSE = (
    CLAIM.format(id="C1", statement="Ruinous L2 lowers test error.", moderator="")
    + """
[[tests]]
name = "error"
says = "the test NLL falls by 0.01"
measure = "test.nll"
of = { "l2.strength" = 100.0 }
expect = "lower"
margin = 0.01
"""
)
TRUE = (
    CLAIM.format(id="C2", statement="Ruinous L2 shrinks weights.", moderator="dropout")
    + """
[[cases]]
name = "without dropout"
[[cases]]
name = "with dropout"
where = { "dropout.hidden" = 0.5 }
[[tests]]
name = "norm"
says = "the norm falls by a fifth"
measure = "weight_norm"
of = { "l2.strength" = 100.0 }
expect = "lower"
scale = "log"
margin = 1.2
[[tests]]
name = "share"
says = "the least accurate class is no better"
measure = "planted"
options = { add = 0.5 }
of = { "l2.strength" = "best" }
expect = "higher"
margin = 0.1
[figure]
kind = "levels"
measure = "test.nll"
over = "l2.strength"
lines = "cases"
"""
)
OTHER = (
    CLAIM.format(id="C3", statement="The best L2 is a matter of the study.", moderator="")
    + """
[[tests]]
name = "best"
says = "the best L2 does no harm"
contrast = "best L2 (dropout.hidden=0)"
expect = "not higher"
margin = 5.0
[[tests]]
name = "facts"
says = "one is one"
mechanism = "planted"
"""
)


class Counted:
    """A measure that counts how often it is taken: the strength's index plus 0.01 for each seed."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self, results: Results, add: Number = 0.0) -> np.ndarray:
        """Return add + cell + seed / 100, NaN for the last seed."""
        self.taken += 1
        cells, seeds = len(results.plan["cells"]), len(results.plan["seeds"])
        values = add + np.arange(cells)[:, None] + np.arange(seeds) / 100
        values[:, -1] = np.nan
        return values


def write_claims(folder: Path) -> Path:
    """Write three claims and their study."""
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "l2.toml").write_text(STUDY)
    for name, text in (("C01", FALSE), ("C02", TRUE), ("C03", OTHER)):
        (folder / f"{name}.toml").write_text(text)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
