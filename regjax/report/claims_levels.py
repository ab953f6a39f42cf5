"""Which levels "best" was, in words: what each half of the seeds was given, where that differs, where a grid ended."""

from collections.abc import Sequence

from regjax.report.claims_numbers import Row, effect_of, number, size_text
from regjax.report.claims_words import name_test
from regjax.report.tables import Column, Grid
from regjax.report.tables import Row as Cells
from regjax.report.words import MISSING, clean

DIFFER = "\N{NOT EQUAL TO}"
END = "end of the grid"
# More than this are counted in the table of tests and told one by one below it.
MOST_CHOICES = 4
LEGEND = f"{DIFFER}: the two halves of the seeds were given different best levels."


def differs(choice: Row) -> bool:
    """Return whether the halves were given different levels."""
    return len(set(choice["levels"])) > 1


def deciding_choices(claim: Row, case: Row) -> list[Row]:
    """Return the choices of the tests that decide a case, each once."""
    named = {*claim["rule"]["supported"], *claim["rule"]["refuted"]}
    return unique([choice for test in case["tests"] if test["name"] in named for choice in test["choices"]])


def unique(choices: Sequence[Row]) -> list[Row]:
    """Return choices, each once."""
    return [choice for i, choice in enumerate(choices) if choice not in choices[:i]]


def count_differing(claim: Row) -> int:
    """Return in how many cases of a claim the halves of a test that decides were given different levels."""
    return sum(any(map(differs, deciding_choices(claim, case))) for case in claim["cases"])


def join_levels(levels: Sequence[str]) -> str:
    """Return what the halves were given as words, a common factor once.

    >>> join_levels(["l2.strength 0.1", "l2.strength 0.3"]), join_levels(["l1.strength 1", "l2.strength 1"])
    ('l2.strength 0.1 and 0.3', 'l1.strength 1 and l2.strength 1')
    >>> join_levels(["model.norm batch + l1.strength 1", "model.norm batch + l2.strength 1"])
    'model.norm batch + l1.strength 1 and model.norm batch + l2.strength 1'
    """
    apart = list(dict.fromkeys(map(clean, levels)))
    same = len({level.partition(" ")[0] for level in apart}) == 1 and not any(" + " in level for level in apart)
    return " and ".join([apart[0], *(level.partition(" ")[2] if same else level for level in apart[1:])])


def level_text(choice: Row) -> str:
    """Return what was chosen on one line.

    >>> level_text({"levels": ["l2.strength 0.1", "l2.strength 0.3"], "ends": [False, True], "at": ""})
    'l2.strength 0.1 and 0.3 \N{NOT EQUAL TO} (0.3: end of the grid)'
    >>> level_text({"levels": ["dropout.hidden 0.2"] * 2, "ends": [False, False], "at": "data.train_size 50"})
    'dropout.hidden 0.2 at data.train_size 50'
    """
    at, mark = f" at {clean(choice['at'])}" if choice["at"] else "", f" {DIFFER}" if differs(choice) else ""
    pairs = zip(choice["levels"], choice["ends"], strict=True)
    ends = [clean(level).partition(" ")[2] for level, end in pairs if end]
    which = f"{ends[0]}: " if len(ends) == 1 else ""
    return f"{join_levels(choice['levels'])}{mark}{at}{f' ({which}{END})' if ends else ''}"


def levels_text(choices: Sequence[Row]) -> str:
    """Return all choices of a test on one line, counted where there are many; nothing without one."""
    if len(choices) > MOST_CHOICES:
        ends = sum(any(choice["ends"]) for choice in choices)
        differing = f", {sum(map(differs, choices))} {DIFFER}" if any(map(differs, choices)) else ""
        return f"{len(choices)} choices{differing}{f', {ends} at the {END}' if ends else ''}"
    many = len({choice["side"] for choice in choices}) > 1
    return "; ".join(f"{choice['side'] + ' ' if many else ''}{level_text(choice)}" for choice in choices)


def choice_note(test: Row, choice: Row) -> str:
    """Return what is to be known of a choice: that the halves differ, in level and in effect; or nothing.

    Args:
      test: that it belongs to.
      choice: one of its choices.
    """
    if not differs(choice):
        return ""
    chosen = join_levels(choice["levels"])
    said = f"halves chose {chosen}: the mean is no single strength's effect"
    first, second = map(number, test["halves"])
    shown = f"the halves' mean effects are {effect_of(test, first)} and {effect_of(test, second)}"
    if first * second < 0:
        return f"{said}; {shown}: of different signs"
    if abs(first - second) > number(test["bound"]):
        return f"{said}; {shown}: further apart than the margin of {size_text(test, test['bound'])}"
    return said


def levels_grid(claim: Row) -> Grid | None:
    """Return a row per choice of a claim; None where all levels are given."""
    columns = tuple(
        map(Column, ("Test", "Case", "Side", "1st, 3rd, ... seeds", "2nd, 4th, ... seeds", "Effects of these", "Note"))
    )
    rows = []
    for case in claim["cases"]:
        for test in case["tests"]:
            effects = " and ".join(effect_of(test, number(half)) for half in test["halves"])
            for choice in test["choices"]:
                side = f"{choice['side']}{', ' + clean(choice['at']) if choice['at'] else ''}"
                given = zip(choice["levels"], choice["ends"], strict=True)
                ends = [f"{clean(level)}{f' ({END})' if end else ''}" for level, end in given]
                rows.append(Cells((name_test(test), clean(case["name"]) or MISSING, side, *ends, effects,
                                   choice_note(test, choice) or MISSING)))  # fmt: skip
    return Grid("Which level was best", columns, tuple(rows)) if rows else None
