"""The report of a study: one HTML page, and plain text for the terminal. Needs no jax."""

from regjax.report.page import make_report
from regjax.report.text import effects_text

__all__ = ["effects_text", "make_report"]
