"""Sphinx: how the pages in this folder become a site. ``nox -s docs`` builds it into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "extensions"), str(ROOT)]  # the extensions, and the package ``benchmarks``

import xpnet  # noqa: E402

project = "xpnet"
author = "The xpnet maintainers"
copyright = author
version = release = xpnet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "outer_pages",
    "example_pages",
    "reference_pages",
    "formulas",
    "measured",
    "pictures",
]
exclude_patterns = ["extensions", "*.py"]
suppress_warnings = ["toc.empty_glob", "config.cache"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections name the types
maximum_signature_line_length = 80
numpydoc_show_class_members = False
add_module_names = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # The examples train for minutes, up to half an hour: their committed pictures stand for a run.
    "plot_gallery": False,
    "ignore_pattern": r"common\.py",
    "image_scrapers": (),
    "reset_modules": (),
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
}

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"xpnet {release}"
html_static_path = ["static"]
html_css_files = ["xpnet.css"]
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
