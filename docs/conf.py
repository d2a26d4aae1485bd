"""The site: ``sphinx-build -W --keep-going -n docs site``. Neither this nor what it makes needs a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

from crcd import __version__

project = "crcd"
release = __version__
copyright = "the crcd authors"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "docstrings",
    "mathml",
    "method_pages",
    "recipe_table",
]
exclude_patterns = ["extensions", "figures", "style", "recipes.rst"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!crcd).*|crcd\..*\.(T|C)")]
"""Names of other libraries; those of this one must be there."""

default_role = "code"
smartquotes = False  # they make a dash of the two of --epochs
html_math_renderer = "mathml"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports: list[str] = []
napoleon_numpy_docstring = False
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = f"crcd {release}"
html_static_path = ["style"]
html_css_files = ["crcd.css"]
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
