"""What the tests of documents read in Markdown: code blocks, links, headings, commands."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.M | re.S)


def find_blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    """Return (language, code) of the fenced blocks in these languages, in order."""
    return re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", text, re.M | re.S)


def find_links(text: str) -> list[str]:
    """Return the targets of links and pictures, but those to other machines.

    >>> find_links("[a](b.md#c), ![p](p.png), `[no](code)`, [net](https://x.org)")
    ['b.md#c', 'p.png']
    """
    prose = re.sub(r"`[^`\n]*`", "code", FENCE.sub("", text))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]


def find_anchors(text: str) -> set[str]:
    """Return the anchors of headings, as GitHub and MyST make them.

    >>> sorted(find_anchors("# One `two`, three\\n## A-b: c"))
    ['a-b-c', 'one-two-three']
    """
    headings = re.findall(r"^#+ +(.+?)\s*$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_code(text: str) -> list[str]:
    """Return what stands in fenced blocks and between backticks.

    >>> find_code("A `b` c\\n```\\nd\\n```")
    ['d\\n', 'b']
    """
    return [*FENCE.findall(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]


def find_commands(text: str, program: str) -> Iterator[tuple[str, str]]:
    """Yield (sub-command, what follows on its line) of a program's commands in code.

    >>> list(find_commands("Say `make test`, or make haste.\\n```\\nmake test-core now\\n```", "make"))
    [('test-core', ' now'), ('test', '')]
    """
    for code in find_code(text):
        yield from re.findall(rf"(?<![\w./]){program} ([a-z-]+)\b([^\n]*)", code)


def find_uneven_rows(text: str) -> list[str]:
    """Return the rows of tables that have another number of cells than the head of their table.

    >>> find_uneven_rows("| a | b |\\n|---|---|\\n| c | `d\\\\|e` |\\n| f |\\n")
    ['| f |']
    """
    uneven, cells = [], 0
    for line in FENCE.sub("", text).splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        found = len(re.findall(r"(?<!\\)\|", line.rstrip())) - 1
        cells = cells or found
        uneven += [line] * (found != cells)
    return uneven
