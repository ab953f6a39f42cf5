"""The tables of a study file as pydantic models; a field's description says in words what is expected there."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from regjax.config.base import Table, choice, fail, one_of
from regjax.config.fields import LARGEST_INT, check_float32, check_integer, check_list, words
from regjax.config.problems import UnfitError, nearest, show
from regjax.design import DESIGNS, PARTS
from regjax.design.fractions import CYCLES
from regjax.design.ranges import MOST_POINTS
from regjax.keys import STREAMS
from regjax.metrics import METRICS, OF_WEIGHTS, TASK_METRICS, metric_names
from regjax.parts import Interval

AT_LEAST_ONE = Interval.parse("[1, inf)")
METRIC_NAMES = metric_names(tuple(METRICS))
MONITORS = tuple(f"validation.{name}" for name in METRICS)
METRIC = f'"<split>.<name>" of test, validation, train or gap and {", ".join(METRICS)}; or {words(OF_WEIGHTS)}'
TUNE_FIRST = 2**31  # seeds of tuning lie above every seed that is reported, wherever a study grows


def _check_count(value: Any) -> Any:
    try:
        return check_integer(value, AT_LEAST_ONE, "an integer >= 1")
    except UnfitError as error:
        raise fail(error.expected, error.hint) from None


def _check_at(value: Any) -> Any:
    """Return "best", "last", {"epoch": n} or {"step": n}."""
    expected = '"best", "last", { epoch = n } or { step = n } with n >= 1'
    if isinstance(value, str) and value in ("best", "last"):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((unit, number),) = value.items()
        if unit in ("epoch", "step") and type(number) is int and 1 <= number <= LARGEST_INT:
            return {unit: number}
    raise fail(expected, nearest(value, ("best", "last")) if isinstance(value, str) else "")


def _check_weights(value: Any) -> Any:
    """Return "none", "balanced" or a tuple of numbers."""
    if isinstance(value, str) and value in ("none", "balanced"):
        return value
    positive = Interval.parse("[0, inf)")
    try:
        weights = check_list(value, lambda weight: check_float32(weight, positive, ""), "")
    except UnfitError:
        weights = ()
    if len(weights) < 2 or not any(weights):
        hint = nearest(value, ("none", "balanced")) if isinstance(value, str) else ""
        raise fail('"none", "balanced" or a list of one number >= 0 per class, not all of them 0', hint)
    return weights


def _check_metric(value: Any) -> Any:
    if not isinstance(value, str) or value not in METRIC_NAMES:
        # A name without its split is near to those of every split: the test part is what is meant.
        whole = f"test.{value}" if isinstance(value, str) and "." not in value else value
        raise fail(METRIC, nearest(whole, METRIC_NAMES) if isinstance(whole, str) else "")
    return value


# The types beside the validators are for the JSON Schema alone.
Positive = Annotated[int, Field(ge=1, le=LARGEST_INT)]
Count = Annotated[int, BeforeValidator(_check_count, json_schema_input_type=Positive)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
State = dict[Literal["epoch", "step"], Positive]
WrittenState = Literal["best", "last"] | Annotated[State, Field(min_length=1, max_length=1)]
At = Annotated[str | dict[str, int], BeforeValidator(_check_at, json_schema_input_type=WrittenState)]


Weights = Literal["none", "balanced"] | Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2)]
ClassWeights = Annotated[str | tuple[float, ...], BeforeValidator(_check_weights, json_schema_input_type=Weights)]
Metric = Annotated[str, BeforeValidator(_check_metric, json_schema_input_type=Literal[METRIC_NAMES])]


class Primary(Table):
    """The number that is confirmatory; everything else in the report is exploratory."""

    metric: Metric = Field(description=METRIC)
    at: At = "last"
    margin: float | None = Field(default=None, gt=0, description="a number > 0, the smallest effect that matters")
    also_at: Annotated[tuple[At, ...], Strict(False)] = Field(default=(), description="a list of states as in at")

    @model_validator(mode="after")
    def _differ(self) -> "Primary":
        states = [self.at, *self.also_at]
        if any(state in states[:index] for index, state in enumerate(states)):
            raise fail("also_at without doubles and without the state of at", got="a state twice")
        if self.metric.endswith("accuracy") and self.margin is not None and self.margin >= 0.5:
            hint = "accuracies are shares: half a percentage point is 0.005"
            raise fail("a margin below 0.5 for an accuracy", hint, f"margin = {self.margin:g}")
        return self


class Task(Table):
    """What the network is trained for. Without a name it follows from the labels."""

    name: Annotated[str, choice(*TASK_METRICS)] | None = Field(default=None, description=words(tuple(TASK_METRICS)))
    class_weights: ClassWeights = "none"
    scale_targets: bool = Field(default=True, description="true or false")


class Every(Table):
    """A distance in training: epochs or steps."""

    epochs: Count | None = None
    steps: Count | None = None

    @model_validator(mode="after")
    def _one(self) -> "Every":
        one_of(self, "epochs", "steps")
        return self


class Training(Table):
    """How long and in what portions is trained, and what is kept."""

    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count = Field(description="an integer >= 1, the number of examples per update")
    evaluate_every: Every = Field(default=Every(epochs=1), description="{ epochs = n } or { steps = n }")
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        default="float32", description='"float32", "tf32" or "bfloat16"'
    )
    monitor: Annotated[str, choice(*MONITORS)] | None = Field(default=None, description=words(MONITORS))
    train_examples: Count = 10_000
    keep: Literal["best", "last", "none"] = Field(default="best", description='"best", "last" or "none"')
    save_every: Every | None = Field(default=None, description="{ epochs = n } or { steps = n }")
    keep_checkpoints: bool | None = Field(default=None, description="true or false")

    @model_validator(mode="after")
    def _one(self) -> "Training":
        one_of(self, "epochs", "steps")
        return self


class Replicates(Table):
    """How the seeds' training sets differ: disjoint parts of one permutation each, or rows drawn with replacement."""

    kind: Annotated[str, choice("disjoint", "bootstrap")] = Field(description='"disjoint" or "bootstrap"')
    parts: Count | None = None

    @model_validator(mode="after")
    def _fit(self) -> "Replicates":
        if self.kind == "disjoint" and (self.parts is None or self.parts < 2):
            raise fail("parts = an integer >= 2 beside disjoint", got="nothing" if self.parts is None else "parts = 1")
        if self.kind == "bootstrap" and self.parts is not None:
            raise fail("bootstrap without parts", "each seed draws as many rows as there are", f"parts = {self.parts}")
        return self


class Seeds(Table):
    """Replicates: seeds from `first`; a seed draws the streams of `vary` anew.

    Either `count` of them, or as many as intervals of `halfwidth` take, by a pilot, and at most `max`.
    """

    count: Count | None = Field(default=None, description="an integer >= 1, the number of seeds")
    pilot: Count | None = Field(default=None, description="an integer >= 2, the seeds that say how many are needed")
    max: Count | None = Field(default=None, description="an integer >= pilot, the most seeds that are taken")
    halfwidth: float | None = Field(
        default=None, gt=0, description="a number > 0, half the width that intervals shall have"
    )
    first: int = Field(default=0, ge=0, lt=TUNE_FIRST, description="an integer >= 0")
    vary: Annotated[tuple[Annotated[str, choice(*STREAMS)], ...], Strict(False)] = Field(
        default=(), description=f"a list of {words(STREAMS)}"
    )
    replicates: Replicates | None = Field(
        default=None, description='{ kind = "disjoint", parts = n } or { kind = "bootstrap" }'
    )

    @model_validator(mode="after")
    def _fit(self) -> "Seeds":
        if "vary" in self.model_fields_set and (not self.vary or len(set(self.vary)) < len(self.vary)):
            raise fail("vary with at least one stream and none twice", got=f"vary = {show(self.vary)}")
        if self.first + self.most > TUNE_FIRST:
            raise fail(f"seeds below {TUNE_FIRST}", got=f"seeds up to {self.first + self.most - 1}")
        return self

    @model_validator(mode="after")
    def _one_form(self) -> "Seeds":
        one_of(self, "count", "pilot")
        stages = (self.pilot, self.max, self.halfwidth)
        if (None in stages) if self.count is None else any(stages):
            given = [name for name in ("count", "pilot", "max", "halfwidth") if getattr(self, name) is not None]
            raise fail("either count, or all of pilot, max and halfwidth", got=", ".join(given))
        if self.pilot is not None and not 2 <= self.pilot <= self.most:
            raise fail("2 <= pilot <= max", got=f"pilot = {self.pilot}, max = {self.max}")
        return self

    @model_validator(mode="after")
    def _whole_permutations(self) -> "Seeds":
        if self.replicates is None:
            return self
        if self.count is None:
            hint = "the number of seeds that a pilot asks for supposes seeds that are independent"
            raise fail("replicates beside count", hint, "pilot beside replicates")
        parts = self.replicates.parts or 1
        if self.count % parts or self.first % parts:
            hint = "a permutation of the training rows is used up by as many seeds as it has parts"
            raise fail(f"count and first that are multiples of the {parts} parts", hint,
                       f"count = {self.count}, first = {self.first}")  # fmt: skip
        return self

    @property
    def fewest(self) -> int:
        """The number of seeds that are trained in any case."""
        return self.count or self.pilot or 0

    @property
    def most(self) -> int:
        """The largest number of seeds."""
        return self.count or self.max or 0

    @property
    def numbers(self) -> range:
        """All seeds that may be trained, in order."""
        return range(self.first, self.first + self.most)


KINDS = ("simple", "main", "two_way", "three_way", "slope")


class Design(Table):
    """Which combinations are run, and which contrasts are confirmatory."""

    kind: Annotated[str, choice(*DESIGNS)] = "full_factorial"
    family: Annotated[tuple[Annotated[str, choice(*KINDS)], ...], Strict(False)] = Field(
        default=(), description=f"a list of {words(KINDS)}"
    )
    headline: Annotated[str, choice("simple", "main", "slope", "declared")] = "simple"
    and_also: Annotated[tuple[Annotated[str, choice(*PARTS)], ...], Strict(False)] = Field(
        default=(), description=f"a list of {words(tuple(PARTS))}"
    )
    strata: Annotated[tuple[Text, ...], Strict(False)] = Field(default=(), description="a list of factors")
    exclude: Annotated[tuple[dict[str, Any], ...], Strict(False)] = Field(
        default=(), description='a list of tables of levels such as { "dropout.hidden" = 0.5, "model.norm" = "batch" }'
    )
    zip: Annotated[tuple[Annotated[tuple[Text, ...], Strict(False)], ...], Strict(False)] = Field(
        default=(), description="a list of lists of factors that change together"
    )
    generators: Annotated[tuple[Text, ...], Strict(False)] = Field(
        default=(), description='a list of generators such as "D=ABC"'
    )
    resolution: int | None = Field(default=None, ge=3, le=11, description="an integer in [3, 11]")
    runs: int | None = Field(
        default=None, description=f"one of {', '.join(map(str, CYCLES))}", json_schema_extra={"enum": list(CYCLES)}
    )
    points: int | None = Field(
        default=None, ge=2, le=MOST_POINTS, description=f"an integer in [2, {MOST_POINTS}], the number of drawn cells"
    )
    draw: int = Field(default=0, ge=0, lt=TUNE_FIRST, description="an integer >= 0")

    @model_validator(mode="after")
    def _differ(self) -> "Design":
        for key in ("family", "and_also", "strata"):
            value = getattr(self, key)
            if len(set(value)) < len(value):
                raise fail(f"{key} without doubles", got=f"{key} = {show(value)}")
        if self.runs is not None and self.runs not in CYCLES:
            raise fail(f"runs = one of {', '.join(map(str, CYCLES))}", got=f"runs = {self.runs}")
        return self

    def tables(self) -> dict[str, Any]:
        """Return the keys that say something: of those not every design has, the ones that are given."""
        always = ("kind", "family", "headline")
        return {key: value for key, value in vars(self).items() if key in always or value}


class Sources(Table):
    """Runs that redraw one stream each: how much of the variance between seeds comes from it."""

    streams: Annotated[tuple[Annotated[str, choice(*STREAMS)], ...], Strict(False)] = Field(
        default=(), description=f"a list of {words(STREAMS)}"
    )
    seeds: int | None = Field(default=None, ge=2, multiple_of=2, description="an even integer >= 2")
    cells: Literal["all", "baseline"] = Field(default="all", description='"all" or "baseline"')

    @model_validator(mode="after")
    def _differ(self) -> "Sources":
        if len(set(self.streams)) < len(self.streams):
            raise fail("streams without doubles", got=f"streams = {show(self.streams)}")
        return self


def _check_sources(value: Any) -> Any:
    """Return a table for true and false."""
    return ({} if value else None) if isinstance(value, bool) else value


class Measure(Table):
    """What is kept beyond the records."""

    predictions: Literal["auto", "test", "none"] = Field(default="auto", description='"auto", "test" or "none"')
    sources: Annotated[Sources | None, BeforeValidator(_check_sources, json_schema_input_type=bool | Sources)] = Field(
        default=None, description='true, or a table with streams, seeds and cells ("all" or "baseline")'
    )

    def tables(self) -> dict[str, Any]:
        """Return the keys that say something: predictions that are kept of themselves are not mentioned."""
        return {key: value for key, value in vars(self).items() if (key, value) != ("predictions", "auto")}
