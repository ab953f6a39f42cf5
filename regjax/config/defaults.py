"""Defaults of a study that depend on several of its tables."""

from collections.abc import Mapping
from typing import Any

from regjax.config.designs import default_family
from regjax.config.spaces import draw_factors
from regjax.config.study import Contrast
from regjax.config.tables import Design, Seeds
from regjax.keys import STREAMS

Found = Mapping[str, Any]  # the valid tables by key
DRAWING = {"data", "seeds", "factors", "fixed"}  # what streams follow from


def resolve_defaults(found: Found) -> dict[str, Any]:
    """Return the tables with those defaults filled in that depend on other tables."""
    made = dict(found)
    if "data" in made:
        made["data"] = made["data"].fill()
    if set(made) >= DRAWING:
        made["seeds"] = _name_subset(made)
    if set(made) >= DRAWING and not made["seeds"].vary:
        made["seeds"] = made["seeds"].model_copy(update={"vary": _default_streams(made)})
    if DRAWING | {"measure"} <= set(made) and (asked := made["measure"].sources) and not asked.streams:
        # Dropout's stream varies of itself, also where there is no dropout: then it is no source.
        idle = {"dropout"} - set(drawn_streams(made))
        filled = asked.model_copy(update={"streams": tuple(s for s in made["seeds"].vary if s not in idle)})
        made["measure"] = made["measure"].model_copy(update={"sources": filled})
    if {"design", "factors"} <= set(made):
        made["factors"] = draw_factors(made["design"], made["factors"])
    if {"design", "factors", "contrasts"} <= set(made):
        made["design"] = _fill_design(made["design"], made["factors"], made["contrasts"])
    return made


def _default_streams(found: Found) -> tuple[str, ...]:
    # Replicates are compared on one test set.
    split = found["data"].drawn and found["seeds"].replicates is None
    drawn = (*(["split"] if split else []), *(["subset"] if has_subset(found) else []))
    return (*dict.fromkeys(("init", "order", "dropout", *drawn_streams(found))), *drawn)


def _name_subset(found: Found) -> Seeds:
    """Return the seeds with "split" read as "subset" where rows for validation are fixed and [data.subset] is given.

    What a seed draws of the split are then the training rows alone.
    """
    seeds, data = found["seeds"], found["data"]
    if data.subset is None or data.drawn or "split" not in seeds.vary or not has_subset(found):
        return seeds
    vary = dict.fromkeys("subset" if stream == "split" else stream for stream in seeds.vary)
    return seeds.model_copy(update={"vary": tuple(vary)})


def drawn_streams(found: Found) -> tuple[str, ...]:
    """Return the streams from which a regularizer that the study names draws, in their order."""
    tuned = found.get("tune")
    paths = [*found["factors"], *found["fixed"], *(tuned.factors if tuned else ())]
    named = {path.partition(".")[0] for path in paths}
    drawn = {stream for name, part in found["parts"].regularizers.items() if name in named for stream in part.streams}
    return tuple(stream for stream in STREAMS if stream in drawn)


def has_subset(found: Found) -> bool:
    """Return whether the seeds may draw which of the training rows a run takes."""
    if found["seeds"].replicates is not None:
        return True
    return found["data"].train_size is not None or any("data.train_size" in found[key] for key in ("factors", "fixed"))


def _fill_design(design: Design, factors: Mapping[str, tuple], contrasts: tuple[Contrast, ...]) -> Design:
    """Return the design with its family and headline: declared contrasts take the place of a family not given."""
    family = design.family
    if "family" not in design.model_fields_set:
        family = () if contrasts else default_family(design, factors)
    headline = design.headline
    if "headline" not in design.model_fields_set:
        known = ("simple", "main", "slope")
        headline = next((kind for kind in family if kind in known), "simple") if family else "declared"
    return design.model_copy(update={"family": family, "headline": headline})
