"""Checks that need more than one table of a study; each runs as soon as the tables it needs are valid."""

import itertools
import math
from collections.abc import Callable, Iterator

from regjax.config.cells import resolve_cell
from regjax.config.datasets import Data
from regjax.config.defaults import Found, drawn_streams, has_subset
from regjax.config.designs import SEVERAL, SPACES, find_design_problems, find_family_problems, has_averages
from regjax.config.idle import check_idle, check_left_out, find_idle_settings
from regjax.config.levels import check_level_contrasts
from regjax.config.problems import ConfigError, Problem, dotted, show
from regjax.config.sources import MOST_RUNS, check_drawn_sources, check_source_runs, check_sources
from regjax.config.study import Contrast, Marker, Parts, Study, Tune, show_plain
from regjax.config.tables import Design, Measure, Primary, Seeds, Task, Training
from regjax.design import (
    MOST_WEIGHTS,
    SPACE_FILLING,
    count_cells,
    count_contrasts,
    make_cells,
    make_contrasts,
    make_levels,
    match_cells,
    name_level,
)
from regjax.metrics import TASK_METRICS, metric_names

Problems = Iterator[Problem]


def find_cross_problems(found: Found) -> list[Problem]:
    """Return what is wrong between tables.

    Args:
      found: the valid tables by key, defaults resolved; a check whose tables are not all there is skipped.
    """
    return [
        problem for keys, check in CHECKS if set(keys) <= set(found) for problem in check(*(found[key] for key in keys))
    ]


def check_seeds(seeds: Seeds, data: Data, factors: Found, fixed: Found, tune: Tune | None, parts: Parts) -> Problems:
    """Find streams of `vary` from which nothing is drawn: the report would promise variation that is not there."""
    if "split" in seeds.vary and not data.drawn:
        yield Problem("seeds.vary", '"split"', "only streams that are drawn",
                      'data.validation.take = "last" fixes the split; use take = "random" or data.split')  # fmt: skip
    if "subset" in seeds.vary and not has_subset({"seeds": seeds, "data": data, "factors": factors, "fixed": fixed}):
        yield Problem("seeds.vary", '"subset"', "only streams that are drawn", "no data.train_size is set or varied")
    if data.subset is not None and not has_subset({"seeds": seeds, "data": data, "factors": factors, "fixed": fixed}):
        yield Problem("data.subset", "a table that does nothing", "data.train_size beside it, or among the factors")
    named = {"factors": factors, "fixed": fixed, "tune": tune, "parts": parts}
    for stream in sorted({"noise", "augment", "labels"} & set(seeds.vary) - set(drawn_streams(named))):
        yield Problem("seeds.vary", show(stream), "only streams that are drawn", "no regularizer here draws from it")


def check_replicates(seeds: Seeds, measure: Measure) -> Problems:
    """Find replicates of the training set from which bias and variance could not be computed."""
    if seeds.replicates is None:
        return
    if seeds.vary and "subset" not in seeds.vary:
        yield Problem("seeds.vary", show(list(seeds.vary)), '"subset" among them', "seeds.replicates draws from it")
    if "split" in seeds.vary:
        yield Problem("seeds.vary", '"split"', "a split that is the same for all seeds",
                      "replicates are compared on one test set")  # fmt: skip
    if measure.predictions != "test":
        yield Problem("measure.predictions", show(measure.predictions), '"test" beside seeds.replicates',
                      "bias and variance are computed from predictions")  # fmt: skip


def check_times(primary: Primary, training: Training) -> Problems:
    """Find distances and states that the training does not reach, as far as that shows without the data."""
    for unit in ("epochs", "steps"):
        total, between = getattr(training, unit), getattr(training.evaluate_every, unit)
        if total and between and total % between:
            yield Problem(
                f"training.evaluate_every.{unit}", str(between), f"a divisor of the {total} {unit} of the training"
            )
        saved = training.save_every and getattr(training.save_every, unit)
        if saved and between and saved % between:
            yield Problem(f"training.save_every.{unit}", str(saved), f"a multiple of evaluate_every, {between} {unit}")
        for place, at in _states(primary):
            number = at.get(unit.removesuffix("s"))
            if number and total and number > total:
                yield Problem(place, show(at), f"a state of the training, which has {total} {unit}")
            elif number and between and number % between:
                yield Problem(place, show(at), f"an evaluation; they lie every {between} {unit}")


def _states(primary: Primary) -> Iterator[tuple[str, dict[str, int]]]:
    if isinstance(primary.at, dict):
        yield "primary.at", primary.at
    yield from ((f"primary.also_at[{i}]", at) for i, at in enumerate(primary.also_at) if isinstance(at, dict))


def check_task(task: Task, primary: Primary, training: Training) -> Problems:
    """Find what does not fit the task, where the study names it; else it is known once the data is."""
    if task.name:
        yield from find_task_problems(task, task.name, primary, training)


def find_task_problems(task: Task, name: str, primary: Primary, training: Training) -> Problems:
    """Find metrics and settings that the task of this name does not have."""
    known = TASK_METRICS[name]
    hint = "" if task.name else f"the labels of the data make it {name}; task.name says otherwise"
    for place, metric in (("primary.metric", primary.metric), ("training.monitor", training.monitor)):
        if metric is not None and metric not in metric_names(known):
            yield Problem(place, show(metric), f"a metric of {name}: {', '.join(known)}", hint)
    if name == "regression" and task.class_weights != "none":
        yield Problem("task.class_weights", show(task.class_weights), '"none": regression has no classes', hint)
    if name != "regression" and not task.scale_targets:
        yield Problem("task.scale_targets", "false", f"true: {name} has no targets to scale", hint)


def check_factors(factors: Found, fixed: Found) -> Problems:
    """Find a study without factors, and paths that are varied and fixed at once."""
    if not factors:
        yield Problem("factors", "no factor", 'at least one path with levels, such as "dropout.hidden" = [0.0, 0.5]')
    for path in factors:
        if path in fixed:
            yield Problem(dotted("factors", path), "a path that is in fixed too", "it in one of them")


def check_tune(tune: Tune | None, factors: Found, fixed: Found) -> Problems:
    """Find hypers that are tuned although they are varied or fixed."""
    for path in tune.factors if tune else ():
        for name, table in (("factors", factors), ("fixed", fixed)):
            if path in table:
                yield Problem(dotted("tune", path), f"a path that is in {name} too", "it in one of them")


def check_optimizer(optimizer: Found, factors: Found, fixed: Found, tune: Tune | None) -> Problems:
    """Find adamw without its decay."""
    tuned = tune.factors if tune else {}
    if optimizer["name"] == "adamw" and not any("decay.strength" in table for table in (factors, fixed, tuned)):
        yield Problem("optimizer.name", '"adamw"', 'decay.strength in fixed, factors or tune beside it',
                      "adamw is adam with decoupled decay: give decay.strength")  # fmt: skip


def check_design(design: Design, factors: Found, contrasts: tuple[Contrast, ...]) -> Problems:
    """Find designs that cannot be made, and families and headlines that the design has no contrasts for."""
    problems = find_design_problems(design, factors)
    yield from problems
    if problems:
        return
    wrong = list(find_family_problems(design, factors))
    yield from wrong
    if not design.family and not contrasts:
        yield Problem("design.family", "an empty list", "a kind of contrast, or declared [[contrasts]]")
    elif design.headline == "main" and not has_averages(design, factors) and not wrong:
        yield Problem("design.headline", '"main"', '"simple"', f"main {SEVERAL}")
    elif design.headline == "slope" and design.kind not in SPACE_FILLING and not wrong:
        yield Problem("design.headline", '"slope"', '"simple" or "main"', f"slopes are of {SPACES}")
    elif design.headline == "declared" and not contrasts:
        yield Problem("design.headline", '"declared"', '"simple" or "main"', "the study declares no [[contrasts]]")


def check_halfwidth(seeds: Seeds, primary: Primary) -> Problems:
    """Find intervals of a share that are wanted in percent."""
    if primary.metric.endswith("accuracy") and seeds.halfwidth is not None and seeds.halfwidth >= 0.5:
        yield Problem("seeds.halfwidth", show(seeds.halfwidth), "a number below 0.5 for an accuracy",
                      "accuracies are shares: half a percentage point is 0.005")  # fmt: skip


def check_size(design: Design, factors: Found, seeds: Seeds, tune: Tune | None) -> Problems:
    """Find grids with too many runs or contrasts to be meant."""
    if find_design_problems(design, factors):
        return
    cells = count_cells(design, factors)
    runs = cells * seeds.most
    if runs > MOST_RUNS:
        yield Problem("factors", f"{cells} cells x {seeds.most} seeds = {runs} runs", f"at most {MOST_RUNS} runs",
                      'fewer levels or seeds, or design.kind = "one_at_a_time"')  # fmt: skip
    tuned = cells * tune.num_seeds * math.prod(len(levels) for levels in tune.factors.values()) if tune else 0
    if tuned > MOST_RUNS:
        yield Problem("tune", f"{tuned} runs", f"at most {MOST_RUNS} runs", "fewer levels or seeds")
    for kind in design.family:
        weights = count_contrasts(kind, design, factors, cells) * cells
        if weights > MOST_WEIGHTS and runs <= MOST_RUNS:
            yield Problem("design.family", f"{weights // cells} {kind} contrasts of {cells} cells",
                          f"at most {MOST_WEIGHTS} weights", "name other kinds, or declare [[contrasts]]")  # fmt: skip


def check_contrasts(contrasts: tuple[Contrast, ...], design: Design, factors: Found) -> Problems:
    """Find declared contrasts that compare nothing."""
    if not contrasts or find_design_problems(design, factors) or count_cells(design, factors) > MOST_RUNS:
        return
    cells = make_levels(design, factors)
    for index, contrast in enumerate(contrasts):
        if not isinstance(contrast, Contrast):
            continue  # see `check_level_contrasts`
        sides = []
        for side in ("of", "against"):
            place = f"contrasts[{index}].{side}"
            wrong = list(_find_level_problems(getattr(contrast, side), factors, place))
            yield from wrong
            if not wrong:
                sides.append(match_cells(cells, getattr(contrast, side)))
                if not sides[-1].any():
                    yield Problem(
                        place, show_plain(getattr(contrast, side)), f"levels of a cell of the {design.kind} design"
                    )
        if len(sides) == 2 and (sides[0] == sides[1]).all() and sides[0].any():
            yield Problem(f"contrasts[{index}]", "the same cells in of and against", "different ones")


def check_markers(markers: tuple[Marker, ...], design: Design, factors: Found) -> Problems:
    """Find markers that do not belong to exactly one cell."""
    if not markers or find_design_problems(design, factors) or count_cells(design, factors) > MOST_RUNS:
        return
    cells = make_levels(design, factors)
    for index, marker in enumerate(markers):
        place = f"report.markers[{index}].when"
        wrong = list(_find_level_problems(marker.when, factors, place))
        yield from wrong
        count = 1 if wrong else int(match_cells(cells, marker.when).sum())
        if count != 1:
            yield Problem(
                place, f"{show_plain(marker.when)}, which {count} cells match", "the levels of exactly one cell"
            )


def _find_level_problems(when: Found, factors: Found, place: str) -> Problems:
    for path, level in when.items():
        if path not in factors:
            yield Problem(dotted(path, under=place), "a path that is no factor", f"one of {', '.join(factors)}")
        elif level not in factors[path]:
            levels = ", ".join(name_level(known, factors[path]) for known in factors[path][:20])
            yield Problem(dotted(path, under=place), show_plain(level), f"a level of the factor: {levels}")


CHECKS: tuple[tuple[tuple[str, ...], Callable[..., Problems]], ...] = (
    (("seeds", "data", "factors", "fixed", "tune", "parts"), check_seeds),
    (("seeds", "primary"), check_halfwidth),
    (("seeds", "measure"), check_replicates),
    (("seeds", "measure"), check_sources),
    (("seeds", "measure", "factors", "fixed", "tune", "parts"), check_drawn_sources),
    (("design", "factors", "seeds", "measure"), check_source_runs),
    (("primary", "training"), check_times),
    (("task", "primary", "training"), check_task),
    (("factors", "fixed"), check_factors),
    (("tune", "factors", "fixed"), check_tune),
    (("factors", "fixed", "tune", "parts"), check_idle),
    (("design", "factors", "parts"), check_left_out),
    (("optimizer", "factors", "fixed", "tune"), check_optimizer),
    (("design", "factors", "contrasts"), check_design),
    (("design", "factors", "seeds", "tune"), check_size),
    (("contrasts", "design", "factors"), check_contrasts),
    (("contrasts", "design", "factors", "seeds", "primary", "task"), check_level_contrasts),
    (("report", "design", "factors"), check_markers),
)


def find_cell_problems(study: Study) -> list[Problem]:
    """Return what is wrong with single cells of a study whose tables are valid: every cell is resolved once."""
    tuned = study.tune.factors if study.tune else {}
    problems: dict[Problem, None] = {}
    for cell in make_cells(study):
        for chosen in itertools.product(*tuned.values()):
            try:
                resolve_cell(study, {**cell.levels, **dict(zip(tuned, chosen, strict=True))})
            except ConfigError as error:
                problems |= dict.fromkeys(error.problems)
    return [*problems, *find_idle_settings(study)] or _find_name_problems(study)


def _find_name_problems(study: Study) -> list[Problem]:
    """Return the declared contrasts whose name another contrast has."""
    if not study.contrasts:
        return []
    names = [contrast["name"] for contrast in make_contrasts(study, make_cells(study))]
    return [
        Problem(f"contrasts[{index}].name", show(contrast.name), "a name that no other contrast has")
        for index, contrast in enumerate(study.contrasts)
        if names.count(contrast.name) > 1
    ]
