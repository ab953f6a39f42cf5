"""Two-level fractions: regular ones by generators, Plackett-Burman ones, and what is aliased with what.

Axes are the letters A, B, C, ... (I is left out: it is the identity) in the order of the factors; levels are -1 and +1.
"""

import itertools
import json
import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from regjax.files import printable

LETTERS = "ABCDEFGHJKLMNOPQ"
SHOWN = 50  # characters of a generator that a message repeats
Word = frozenset[int]  # axes whose product it is

# First rows of the cyclic designs, one sign per column.
CYCLES = {
    8: "+++-+--",
    12: "++-+++---+-",
    20: "++--++++-+-+----++-",
    24: "+++++-+-++--++--+-+----",
}

# Generators of minimum aberration by number of axes: runs, resolution and words, smaller fractions first.
STANDARD: dict[int, tuple[tuple[int, str], ...]] = {
    3: ((3, "C=AB"),),
    4: ((4, "D=ABC"),),
    5: ((3, "D=AB E=AC"), (5, "E=ABCD")),
    6: ((3, "D=AB E=AC F=BC"), (4, "E=ABC F=BCD"), (6, "F=ABCDE")),
    7: ((3, "D=AB E=AC F=BC G=ABC"), (4, "E=ABC F=BCD G=ACD"), (7, "G=ABCDEF")),
    8: ((4, "E=BCD F=ACD G=ABC H=ABD"), (5, "G=ABCD H=ABEF"), (8, "H=ABCDEFG")),
    9: (
        (3, "E=ABC F=BCD G=ACD H=ABD J=ABCD"),
        (4, "F=BCDE G=ACDE H=ABDE J=ABCE"),
        (6, "H=ACDFG J=BCEFG"),
        (9, "J=ABCDEFGH"),
    ),
    10: (
        (3, "E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB"),
        (4, "F=ABCD G=ABCE H=ABDE J=ACDE K=BCDE"),
        (5, "H=ABCG J=BCDE K=ACDF"),
        (10, "K=ABCDEFGHJ"),
    ),
    11: (
        (3, "E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB L=AC"),
        (4, "F=ABC G=BCD H=CDE J=ACD K=ADE L=BDE"),
        (5, "H=ABCG J=BCDE K=ACDF L=ABCDEFG"),
        (11, "L=ABCDEFGHJK"),
    ),
}


def parse_generators(num_axes: int, written: Sequence[str]) -> dict[int, tuple[int, Word]]:
    """Return {axis: (sign, word)} of generators such as "E=ABC" or "E=-ABC".

    Raises:
      ValueError: one is no generator of these axes, or a word holds a generated axis.
    """
    known = LETTERS[:num_axes]
    found: dict[int, tuple[int, Word]] = {}
    for text in written:
        match = re.fullmatch(r"([A-Z])=([+-]?)([A-Z]{2,})", text.replace(" ", ""))
        letters = match[1] + match[3] if match else ""
        if not match or set(letters) - set(known) or len(set(letters)) < len(letters):
            raise ValueError(f'{_show(text)}, which is no generator such as "D=ABC" of the letters {known}')
        axis = known.index(match[1])
        if axis in found:
            raise ValueError(f"{match[1]}, which is generated twice")
        found[axis] = (-1 if match[2] == "-" else 1, frozenset(map(known.index, match[3])))
    for text, (_, word) in zip(written, found.values(), strict=True):
        if word & set(found):
            raise ValueError(f"{_show(text)}, whose word holds a letter that is generated itself")
    return found


def _show(text: str) -> str:
    """Return a generator as a message repeats it: in quotes, shortened, with unprintable characters escaped."""
    return printable(json.dumps(text[:SHOWN] + "..." * (len(text) > SHOWN), ensure_ascii=False))


def choose_generators(num_axes: int, resolution: int) -> list[str]:
    """Return the generators of the smallest standard fraction with at least this resolution.

    >>> choose_generators(7, 4)
    ['E=ABC', 'F=BCD', 'G=ACD']

    Raises:
      ValueError: there is none.

    Reference: D. C. Montgomery, "Design and Analysis of Experiments" (2013); A. Fries and W. G. Hunter, "Minimum
    Aberration 2^(k-p) Designs" (1980).
    """
    for found, words in STANDARD.get(num_axes, ()):
        if found >= resolution:
            return words.split()
    raise ValueError(f"resolution {resolution} of {num_axes} factors")


def fraction_generators(num_axes: int, written: Sequence[str], resolution: int | None) -> dict[int, tuple[int, Word]]:
    """Return the generators of a study, those written or else the standard ones of a resolution."""
    return parse_generators(num_axes, written or choose_generators(num_axes, resolution or 3))


def fraction_rows(num_axes: int, written: Sequence[str], resolution: int | None) -> list[tuple[int, ...]]:
    """Return the cells of a regular fraction as positions of levels; of the base axes the last changes fastest.

    >>> fraction_rows(3, ["C=AB"], None)
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
    """
    generators = fraction_generators(num_axes, written, resolution)
    base = [axis for axis in range(num_axes) if axis not in generators]
    rows = []
    for chosen in itertools.product((-1, 1), repeat=len(base)):
        signs = dict(zip(base, chosen, strict=True))
        signs |= {
            axis: sign * int(np.prod([signs[other] for other in word])) for axis, (sign, word) in generators.items()
        }
        rows.append(tuple((signs[axis] + 1) // 2 for axis in range(num_axes)))
    return rows


def defining_words(generators: dict[int, tuple[int, Word]]) -> dict[Word, int]:
    """Return {word: sign} of all words that equal the identity but the empty one: the defining relation."""
    words: dict[Word, int] = {frozenset(): 1}
    for axis, (sign, word) in generators.items():
        words |= {known ^ word ^ {axis}: sign * other for known, other in words.items()}
    return {word: sign for word, sign in words.items() if word}


def write_relation(words: dict[Word, int]) -> str:
    """Return the defining relation as text, shorter words first.

    >>> write_relation(defining_words(parse_generators(5, ["D=AB", "E=AC"])))
    'I = ABD = ACE = BCDE'
    """
    texts = [("-" if sign < 0 else "") + write_word(word) for word, sign in words.items()]
    return " = ".join(["I", *sorted(texts, key=lambda text: (len(text.lstrip("-")), text.lstrip("-")))])


def write_word(word: Word) -> str:
    """Return a word in letters."""
    return "".join(LETTERS[axis] for axis in sorted(word))


def screening_size(num_axes: int, runs: int | None) -> int:
    """Return the cells of a Plackett-Burman design: those asked for, or the fewest that hold the axes.

    Raises:
      ValueError: no design is large enough.
    """
    size = runs or next((size for size in CYCLES if size > num_axes), None)
    if size is None or num_axes >= size:
        raise ValueError(f"{num_axes} factors")
    return size


def screening_rows(num_axes: int, runs: int | None) -> list[tuple[int, ...]]:
    """Return the cells of a Plackett-Burman design: all low, then the first row and its cyclic shifts.

    Reference: R. L. Plackett and J. P. Burman, "The Design of Optimum Multifactorial Experiments" (1946).
    Departure: the row of low levels, the last in the paper, comes first, as the baseline does everywhere here.
    """
    size = screening_size(num_axes, runs)
    first = [int(sign == "+") for sign in CYCLES[size]]
    shifts = [tuple(first[(column - shift) % (size - 1)] for column in range(num_axes)) for shift in range(size - 1)]
    return [(0,) * num_axes, *shifts]


def find_aliases(rows: np.ndarray) -> dict[Word, list[tuple[Fraction, Word]]]:
    """Return what the estimate of each effect up to two-way order holds beside the effect itself.

    Of effects with columns u and v, products of -1 and +1, the estimate of u holds (u . v) / N of effect v.

    Args:
      rows: positions of levels, 0 or 1, [cell, axis].

    Returns:
      {effect: [(coefficient, other effect)]}, main effects first; +-1 is a full alias.
    """
    num_axes = rows.shape[1]
    effects = [frozenset(w) for order in (1, 2) for w in itertools.combinations(range(num_axes), order)]
    signs = 2 * rows - 1
    columns = np.array([signs[:, sorted(word)].prod(axis=1) for word in effects])
    inner = columns @ columns.T
    return {
        word: [(Fraction(int(inner[i, j]), len(rows)), effects[j]) for j in np.flatnonzero(inner[i]).tolist() if j != i]
        for i, word in enumerate(effects)
    }
