"""Settings of the documentation site: `make docs` builds it into docs/_build, without network."""

import regjax

project = "regjax"
author = "regjax developers"
copyright = "regjax developers, Apache-2.0"
release = regjax.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_title = f"regjax {release}"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4
highlight_language = "none"

# Docstrings quote code in single backticks.
default_role = "literal"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Departure", "Reference"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# The site links to nothing outside of itself, nor to what is not part of the public interface.
nitpick_ignore_regex = [
    (r"py:.*", r"(np|numpy|pd|pandas|jax|pathlib|collections)\..*"),
    (r"py:.*", r"regjax\.(analysis|config|data|models|parts|progress|runtime)\..*"),
]


def name_aliases() -> None:
    """Give a class that is public under another name that name, so that it is shown as what it is."""
    for name in regjax.__all__:
        thing = getattr(regjax, name)
        if isinstance(thing, type) and thing.__name__ != name:
            thing.__name__ = thing.__qualname__ = name


# Pages made from a file above this folder, which other pages name by its place in the repository.
ABOVE = {"../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changelog.md"}


def link_pages(app: object, name: str, source: list[str]) -> None:
    """Point links to files above this folder at the pages made from them."""
    for path, page in ABOVE.items():
        source[0] = source[0].replace(f"]({path}", f"]({page}")


def setup(app: object) -> None:
    """Connect what is done to each page when it is read."""
    name_aliases()
    app.connect("source-read", link_pages)
