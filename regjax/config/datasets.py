"""The table [data] of a study file: which data sets there are, and which keys each knows."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from regjax.config.base import Table, fail, one_of
from regjax.config.fields import LARGEST_INT, words
from regjax.config.problems import nearest
from regjax.config.tables import Count, Text

TABLES = ("breast_cancer", "wine", "diabetes")  # small tables of features in units of their own
OFFICIAL = (  # these have an official test part
    "mnist", "fashion_mnist", "kmnist", "emnist/byclass", "emnist/bymerge", "emnist/balanced", "emnist/letters",
    "emnist/digits", "emnist/mnist", "cifar10", "cifar100", "svhn",
)  # fmt: skip
SYNTHETIC: dict[str, dict[str, int | float]] = {  # their keys, with the defaults
    "sparse_linear": {
        "num_examples": 1000, "num_features": 100, "num_informative": 10, "noise": 1.0, "copies": 1, "seed": 0
    },
    "ridge_linear": {"num_examples": 1000, "num_features": 50, "correlation": 0.5, "noise": 1.0, "seed": 0},
    "teacher": {
        "num_examples": 2000, "num_features": 20, "num_hidden": 32, "num_classes": 10, "noise": 0.1, "seed": 0
    },
    "logistic": {"num_examples": 1000, "num_features": 20, "signal": 2.0, "seed": 0},
    "parity": {"num_examples": 1000, "num_features": 100, "num_informative": 2, "noise": 0.0, "seed": 0},
    "contaminated": {
        "num_examples": 1000, "num_features": 20, "signal": 4.0, "outliers": 0.1, "distance": 3.0, "seed": 0
    },
}  # fmt: skip
WHOLE = ("digits", *TABLES, *SYNTHETIC)  # these have none
DATASETS = ("digits", *TABLES, *OFFICIAL, *SYNTHETIC, "arrays", "custom")
TFDS = "tfds:"  # before the name of any other set that TFDS prepared
SHARE = 'a count >= 1, a fraction between 0 and 1, or "rest"'
NAMES = f'{words(DATASETS)}, or "tfds:<name>"'
KEYS: dict[str, tuple[str, ...]] = {  # keys that some data sets know only
    "arrays": ("path", "x", "y"),
    "tfds:<name>": ("folder", "x", "y"),
    **dict.fromkeys(OFFICIAL, ("folder",)),
    **{name: tuple(keys) for name, keys in SYNTHETIC.items()},
}


def _keys_of(name: str) -> tuple[str, ...]:
    return KEYS.get("tfds:<name>" if name.startswith(TFDS) else name, ())


def _check_dataset(value: Any) -> Any:
    if isinstance(value, str) and (value in DATASETS or (value.startswith(TFDS) and len(value) <= 200)):
        return value
    raise fail(NAMES, nearest(value, DATASETS) if isinstance(value, str) else "")


def _check_share(value: Any) -> Any:
    """Return a part of a split: a count, a fraction or "rest"."""
    if type(value) is int and 1 <= value <= LARGEST_INT:
        return value
    if (type(value) is float and 0 < value < 1) or (isinstance(value, str) and value == "rest"):
        return value
    raise fail(SHARE)


Part = Annotated[int, Field(ge=1, le=LARGEST_INT)] | Annotated[float, Field(gt=0, lt=1)] | Literal["rest"]
Share = Annotated[int | float | str, BeforeValidator(_check_share, json_schema_input_type=Part)]


class Validation(Table):
    """How many of the official training rows validate, and which."""

    count: Count | None = None
    fraction: float | None = Field(default=None, gt=0, lt=1, description="a number between 0 and 1")
    take: Literal["last", "random"] = Field(default="random", description='"last" or "random"')

    @model_validator(mode="after")
    def _one(self) -> "Validation":
        one_of(self, "count", "fraction")
        return self


class Split(Table):
    """A random division of all rows: counts, fractions, one of them may be "rest"."""

    train: Share = Field(description=SHARE)
    validation: Share = Field(description=SHARE)
    test: Share = Field(description=SHARE)

    @model_validator(mode="after")
    def _fit(self) -> "Split":
        shares = (self.train, self.validation, self.test)
        if sum(share == "rest" for share in shares) > 1:
            raise fail('"rest" at most once')
        fractions = sum(share for share in shares if isinstance(share, float))
        if fractions > 1 + 1e-9 or (fractions > 1 - 1e-9 and not all(isinstance(s, float) for s in shares)):
            raise fail("fractions that leave something for every part", got=f"fractions that sum to {fractions:g}")
        return self


def _check_nested(value: Any) -> Any:
    if value is True:
        return value
    raise fail("true", "of one seed the smaller subset always lies inside the larger")


class Subset(Table):
    """How `train_size` takes training rows. Subsets are nested in any case; the table says so in the study file."""

    nested: Annotated[Literal[True], BeforeValidator(_check_nested)] = Field(description="true")


Name = Literal[DATASETS]  # type: ignore[valid-type]
Written = Name | Annotated[str, Field(pattern=f"^{TFDS}", max_length=200)]


class Data(Table):
    """The examples and their parts. Paths are relative to the study file. A data set knows some of the keys only."""

    name: Annotated[str, BeforeValidator(_check_dataset, json_schema_input_type=Written)] = Field(description=NAMES)
    path: Text | None = Field(default=None, description="the path of an .npz or .csv file")
    x: Text | None = Field(default=None, description="the key or feature of the inputs")
    y: Text | None = Field(default=None, description="the key, column or feature of the targets")
    folder: Text | None = Field(default=None, description="the path of the folder with prepared data sets")
    num_examples: int | None = Field(default=None, ge=2, lt=2**32, description="an integer >= 2")
    num_features: int | None = Field(default=None, ge=1, lt=2**32, description="an integer >= 1")
    num_informative: int | None = Field(default=None, ge=1, lt=2**32, description="an integer >= 1")
    num_hidden: int | None = Field(default=None, ge=1, lt=2**32, description="an integer >= 1")
    num_classes: int | None = Field(default=None, ge=0, lt=2**32, description="an integer >= 2, or 0 for values")
    noise: float | None = Field(default=None, ge=0, description="a number >= 0")
    correlation: float | None = Field(default=None, ge=0, lt=1, description="a number in [0, 1)")
    signal: float | None = Field(default=None, gt=0, description="a number > 0")
    copies: int | None = Field(default=None, ge=1, lt=2**32, description="an integer >= 1")
    outliers: float | None = Field(default=None, ge=0, lt=1, description="a number in [0, 1)")
    distance: float | None = Field(default=None, ge=1, description="a number >= 1")
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="an integer >= 0")
    validation: Validation | None = Field(default=None, description="a table with count or fraction, and take")
    split: Split | None = Field(default=None, description="a table with train, validation and test")
    train_size: Count | None = None
    subset: Subset | None = Field(default=None, description="{ nested = true }, how train_size takes rows")
    scale: Literal["unit", "standard", "none"] = Field(default="unit", description='"unit", "standard" or "none"')

    @field_validator(*sorted({key for keys in KEYS.values() for key in keys}))
    @classmethod
    def _know(cls, value: Any, info: ValidationInfo) -> Any:
        name, key = info.data.get("name"), str(info.field_name)
        if value is None or name is None or key in _keys_of(name):
            return value
        others = [other for other, keys in KEYS.items() if key in keys]
        known = (*_keys_of(name), *(() if name in WHOLE else ("validation",)), "split", "train_size", "subset", "scale")
        raise fail(f"only keys of {name}: {', '.join(known)}", f"{key} belongs to {', '.join(others)}")

    @model_validator(mode="after")
    def _fit(self) -> "Data":
        if self.validation is not None and self.split is not None:
            raise fail("one of them: validation divides the official training rows, split divides all rows",
                       got="validation and split")  # fmt: skip
        if self.name in WHOLE and self.validation is not None:
            hint = f"{self.name} has no official test part"
            raise fail("split = { train, validation, test }", hint, got="validation")
        if self.name == "arrays" and self.path is None:
            raise fail('path = "..." of an .npz or .csv file', got='name = "arrays" without path')
        if self.num_classes == 1:
            raise fail("num_classes of at least 2, or 0 for values", got="num_classes = 1")
        values = {**SYNTHETIC.get(self.name, {}), **self.settings}
        if values.get("num_informative", 0) > values.get("num_features", 0):
            raise fail("num_informative of at most num_features", got=f"num_informative = {values['num_informative']} "
                       f"of num_features = {values['num_features']}")  # fmt: skip
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What is given of a synthetic data set."""
        keys = SYNTHETIC.get(self.name, ())
        return {key: getattr(self, key) for key in keys if getattr(self, key) is not None}

    @property
    def drawn(self) -> bool:
        """Whether the parts are drawn at random, so that a seed may draw them."""
        return self.validation is None or self.validation.take == "random"

    def fill(self) -> "Data":
        """Return the table with the defaults of its data set written out: keys, scale and parts."""
        made: dict[str, Any] = {**SYNTHETIC.get(self.name, {}), **self.settings}
        if "scale" not in self.model_fields_set:
            # Synthetic features have unit variance, and their weights are known in these units.
            made["scale"] = "standard" if self.name in TABLES else "none" if self.name in SYNTHETIC else "unit"
        if self.name == "arrays":
            table = str(self.path).lower().endswith(".csv")  # it has a column to predict; all others are inputs
            made |= {"x": self.x or (None if table else "x"), "y": self.y or "y"}
        # Whether the others have an official test part shows when they are read.
        if self.validation is None and self.split is None:
            made |= {"validation": Validation(fraction=0.2)} if self.name in OFFICIAL else {}
            made |= {"split": Split(train=0.6, validation=0.2, test=0.2)} if self.name in WHOLE else {}
        return self.model_copy(update=made)
