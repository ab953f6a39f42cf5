"""The report: everything a study found, on one page that needs no network, no script and no other file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regjax.analysis.effects import describe_cells
from regjax.analysis.export import csv_text, save_effects
from regjax.analysis.questions import place_markers
from regjax.analysis.table import Table, at_label, load_table, reference_cell
from regjax.files import publish_text
from regjax.report import prose, tables
from regjax.report.brief import brief_verdicts
from regjax.report.checklist import make_checklist
from regjax.report.drawing import Drawing
from regjax.report.extra import Extra
from regjax.report.extras import make_extras
from regjax.report.gallery import make_curves, make_effect_plot, make_legend, make_strip_plot
from regjax.report.methods import make_methods
from regjax.report.paper import DIGITS, save_figures
from regjax.report.words import clean, count, metric_words
from regjax.store import iter_done

# More verdicts than this, and the first screen names the others' place only.
MOST_BRIEF = 8
# Of these a phone shows so many, so that the effect plot begins on its first screen; the others unfold.
FIRST_BRIEF = 3
# Characters of one figure's numbers that the page holds; a dozen figures then fit into 3 MB.
MOST_DATA = 180_000
# Tables with more rows than this are closed at first.
MOST_ROWS = 40
# Further sections that few readers open: they are closed at first, and open in print.
FOLDED = ("appendix",)


def make_report(out: Path) -> Path:
    """Write `report.html` of a run directory, with `effects.csv` and `results.parquet` beside it, and return its path.

    The page is rebuilt from the stored numbers alone; the same folder gives the same bytes.

    Args:
      out: run directory; a study that is not finished gives a provisional report.

    Raises:
      StoreError: there is no plan, a file is damaged, or the folder cannot be written.
    """
    return save_report(out)[0]


def save_report(out: Path, folder: Path | None = None) -> list[Path]:
    """Do what `make_report` does, write every figure into a folder, where one is given, as SVG, PDF and CSV files, and
    return the paths, the page's first.
    """
    out = Path(out)
    table = load_table(out)
    context = make_context(table, list(iter_done(out)))
    save_effects(table, out)
    page = _publish(render("page.html.j2", context), out)
    return [page, *([] if folder is None else save_figures(find_figures(context), Path(folder)))]


def make_figures(table: Table) -> list[Drawing]:
    """Return every figure of the report, panels of learning curves one by one."""
    return find_figures(make_context(table, ()))


def find_figures(context: Mapping[str, Any]) -> list[Drawing]:
    """Return the figures that a page shows, from `make_context`."""
    panels = [panel for group in context["curve_groups"] for panel in group.panels]
    more = [drawing for extra in context["extras"] for drawing in extra.drawings]
    drawings = [context["effect_plot"], context["strips"], *panels, *more]
    return [drawing for drawing in drawings if drawing is not None]


def save_page(table: Table, done: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Write `report.html` of a table into a folder and return its path.

    Args:
      table: of a run directory, or of numbers from elsewhere.
      done: what `store.iter_done` yields; empty for numbers from elsewhere.
      out: folder.

    Raises:
      StoreError: the folder cannot be written.
    """
    return _publish(render_page(table, done), Path(out))


def _publish(page: str, out: Path) -> Path:
    path = out / "report.html"
    publish_text(path, page)
    return path


def render_page(table: Table, done: Sequence[Mapping[str, Any]]) -> str:
    """Return the page as HTML; every name from the study is escaped.

    Args:
      table: loaded run directory.
      done: what `store.iter_done` yields.
    """
    return render("page.html.j2", make_context(table, done))


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a page from its template beside this file; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("regjax", "report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template(template).render(context)


def make_context(table: Table, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the template shows: texts, tables and drawings."""
    plan, effects = table.plan, tables.ranked_effects(table)
    verdicts, shared = prose.make_verdicts(table, effects)
    metric, misled = plan["primary"]["metric"], prose.find_misled(table, effects)
    own, extras = table.out is not None, make_extras(table)
    return {
        "question": clean(plan["question"]),
        "facts": _headline_facts(table, done),
        "brief": brief_verdicts(effects, plan["primary"].get("margin")),
        "most_brief": MOST_BRIEF,
        "first_brief": FIRST_BRIEF,
        "verdicts": verdicts,
        "shared": shared,
        "missing_sentence": prose.missing_sentence(table),
        "lead_plot": _find_lead(extras, effects),
        "effect_plot": make_effect_plot(effects, plan),
        "marker_sentences": prose.marker_sentences(place_markers(table), metric),
        "misled_sentences": prose.misled_sentences(misled),
        "misled": prose.misled_grid(misled),
        "strips": make_strip_plot(table),
        "legend": make_legend(table),
        "own": own,
        "curve_groups": make_curves(table) if own else [],
        "cells": [tables.cells_grid(describe_cells(table, at), reference_cell(plan)) for at in tables.state_of(plan)],
        "effects": tables.effects_grid(effects) if len(effects) else None,
        "effects_note": prose.effects_note(plan),
        "extras": extras,
        "folded": FOLDED,
        "most_rows": MOST_ROWS,
        "methods": make_methods(table, effects, done),
        "checklist": make_checklist(table, effects, done),
        "diverged_sentence": prose.diverged_sentence(table),
        "diverged": tables.diverged_grid(table),
        "missing": tables.missing_grid(table),
        "tuned": tables.tuned_grid(plan),
        "design": tables.design_grid(plan),
        "seeds": tables.seeds_grid(plan) if own else None,
        "seed_list": tables.seed_ranges(table.seeds),
        "settings": tables.settings_grid(plan) if own else None,
        "provenance": tables.provenance_grid(plan, done) if own else None,
        "version": clean(plan["versions"].get("regjax", "")),
    }


def _find_lead(extras: Sequence[Extra], effects: pd.DataFrame) -> Drawing | None:
    """Return the figure of best levels where the study declares nothing but how they move, which no effect shows."""
    kinds = set(effects.loc[effects["confirmatory"], "kind"])
    drawings = [drawing for extra in extras if extra.anchor == "levels" for drawing in extra.drawings]
    return drawings[0] if kinds == {"trend"} and drawings else None


def _headline_facts(table: Table, done: Sequence[Mapping[str, Any]]) -> list[str]:
    plan = table.plan
    primary = plan["primary"]
    size = f"{count(len(table.cells), 'cell')} × {count(len(table.seeds), 'seed')}"
    if table.out is None:
        return [clean(fact) for fact in ("numbers from elsewhere", size, f"primary: {metric_words(primary['metric'])}")]
    programs = sum(chunk["programs"].get(kind, 0) for chunk in done for kind in ("compiled", "cached"))
    facts = [
        f"{plan['data']['name']}, {_train_sizes(plan)} training examples",
        size,
        f"primary: {metric_words(primary['metric'])} {tables.state_words(at_label(primary['at']))}",
        prose.diverged_sentence(table).removesuffix("."),
        count(programs, "compiled program"),
    ]
    return [clean(fact) for fact in facts]


def _train_sizes(plan: Mapping[str, Any]) -> str:
    """Return on how many examples cells train, from fewest to most where they differ."""
    sizes = next((f["levels"] for f in plan["factors"] if f["path"] == "data.train_size"), [plan["data"]["num_train"]])
    return " to ".join(f"{size:,}" for size in sorted({min(sizes), max(sizes)}))


def data_uri(panels: Drawing | Sequence[Drawing]) -> str | None:
    """Return the numbers of a figure, or of panels together, as the address of a CSV file; None where there are none.

    It is base64, so that no text of a study can end it. Empty where they are so many that the page would grow too
    large.
    """
    drawings = [panels] if isinstance(panels, Drawing) else panels
    frames = [drawing.data for drawing in drawings if drawing.data is not None]
    if not frames:
        return None
    text = csv_text(frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True), DIGITS)
    if len(text) > MOST_DATA:
        return ""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode('utf-8')).decode('ascii')}"
