"""How many seeds an effect needs, as a table for the terminal."""

import math
import textwrap

from regjax.analysis.power import MOST_SEEDS, make_power
from regjax.analysis.table import Table
from regjax.report.tables import Column, Grid, Row, state_words
from regjax.report.text import WIDTH, grid_text
from regjax.report.words import MISSING, clean, effect_unit, format_share, format_spread, metric_words


def power_text(table: Table, effect: float, power: float) -> str:
    """Return the table of `make_power` with what it takes for granted.

    Raises:
      PowerError: effect or power are out of range.
    """
    frame, primary = make_power(table, effect, power), table.plan["primary"]
    metric = primary["metric"]
    if not len(frame):
        return (
            "The study has no confirmatory contrast of cells, whose effect could be found; what it says of best levels"
            " needs more seeds or levels where it is undecided.\n"
            if table.plan.get("level_contrasts")
            else "The study has no confirmatory contrast: no effect was declared to be found.\n"
        )
    columns = (
        Column("Contrast"), Column("Seeds", True), Column("Paired SD", True), Column("Upper SD", True),
        Column("Seeds needed", True), Column("At upper SD", True), Column("Power now", True),
        Column("Smallest effect", True), Column("Unpaired", True),
    )  # fmt: skip
    rows = [
        Row(
            (
                clean(row["contrast"]),
                str(row["n"]),
                *(format_spread(metric, row[name]) for name in ("sd", "sd_upper")),
                *(_seeds(row[name]) for name in ("seeds", "seeds_upper")),
                MISSING if math.isnan(row["power"]) else format_share(row["power"]),
                format_spread(metric, row["smallest"]),
                _seeds(row["seeds_unpaired"]),
            )
        )
        for row in frame.to_dict("records")
    ]
    unit = effect_unit(metric)
    wanted = f"{format_spread(metric, effect)}{f' {unit}' if unit else ''}"
    state = state_words(str(primary["at"].get("label") or primary["at"]["kind"]))
    title = f"Seeds that find an effect of {wanted} on {metric_words(metric)} {state} with power {power:g}"
    note = (
        f"By the t test at 0.05 / {len(frame)} (conservative for {len(frame)} contrasts tested together), never fewer "
        "than sign flips need. Upper SD: 80% upper limit of the pilot's SD; plan with the seeds at that. Smallest "
        "effect: what the present seeds find with that power. Unpaired: seeds per cell if cells did not share them."
    )
    return f"{grid_text(Grid(title, columns, tuple(rows)))}\n\n{textwrap.fill(note, WIDTH)}\n"


def _seeds(number: float) -> str:
    if math.isnan(number):
        return MISSING
    return f"> {MOST_SEEDS}" if math.isinf(number) else str(int(number))
