"""A study whose every name tries to escape, to execute or to break a page."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

# What each would be where a text became a path, a program, a formula, a page or a command of LaTeX.
NAMES = (
    "../../escaped", "/tmp/../escaped", "..\\escaped", "~/escaped", ".", "..", "CON", "NUL", "aux.", "LPT1.txt",
    "n" * 300, "caf\u00e9", "cafe\u0301", "\u0645\u0631\u062d\u0628\u0627", "\N{PILE OF POO}", "漢字",
    "__import__('pathlib').Path('CANARY').touch()", "${CANARY}", "$(touch CANARY)", "`touch CANARY`", "{{ 7*7 }}",
    "{% raise %}", "!!python/object/apply:os.system ['touch CANARY']", "%(canary)s {canary} {0.__class__}",
    "; touch CANARY #", '"><script>alert(1)</script>', "</svg><img src=x onerror=alert(1)>", "javascript:alert(1)",
    "&lt;b&gt;", "]]>", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\uff1d1+1", "a;=1+1", 'a",=1+1', " =1+1",
    "\\input{/etc/passwd}", "\\write18{touch CANARY}", "$x^{$", "%", "#1", "100% & more_of{it}~",
)  # fmt: skip


class HostileRun(NamedTuple):
    """A trained study of hostile names: its run directory, the folder around it, files before, what it said."""

    out: Path
    around: Path
    before: set[str]
    printed: str


def write_study(folder: Path) -> Path:
    """Write a study whose texts are `NAMES`, with its data file, and return its path."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(48, 4)).astype(np.float32), np.arange(48) % 2
    test = {"x_test": np.concatenate([x[32:], x[:3]]), "y_test": np.concatenate([y[32:], y[:3]])}
    np.savez(folder / "=own {{ 7*7 }}.npz", x=x[:32], y=y[:32], **test)
    lines = [
        f"question = {json.dumps(' '.join(NAMES[16:30])[:300], ensure_ascii=False)}",
        "[primary]", 'metric = "test.accuracy"', "margin = 0.01",
        "[data]", 'name = "arrays"', 'path = "=own {{ 7*7 }}.npz"', "[model]", 'name = "mlp"', "widths = [4]",
        "[optimizer]", 'name = "sgd"', "[training]", "epochs = 1", "batch_size = 8", 'keep = "last"',
        "[seeds]", "count = 6", "[factors]", '"dropout.hidden" = [0.0, 0.5]', "[measure]", 'predictions = "test"',
    ]  # fmt: skip
    for name in NAMES:
        text = json.dumps(name, ensure_ascii=False)
        lines += ["[[contrasts]]", f"name = {text}"]
        lines += ['of = { "dropout.hidden" = 0.5 }', 'against = { "dropout.hidden" = 0.0 }']
        lines += ["[[report.markers]]", f"label = {text}", "value = 0.5", 'when = { "dropout.hidden" = 0.0 }']
    path = folder / "study {{ 7*7 }}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def list_files(folder: Path) -> set[str]:
    """Return the names of all files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
