"""Sphinx: every page is run while it is read, in a folder of its own, and a block that fails fails the build.

Nothing is fetched from a network, neither here nor by a reader's browser: formulas are MathML, written by docutils.
"""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("MPLBACKEND", "Agg")

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pages import with_results
from sphinx.errors import ExtensionError

project = "pushforward"
author = "The pushforward authors"
copyright = author
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pushforward"
html_static_path = ["_static"]
html_css_files = ["results.css"]
html_math_renderer = "mathml"
html_copy_source = False


def run_page(app, docname, source):
    """Set the results of a page's blocks into it."""
    path, here = Path(app.env.doc2path(docname)), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            source[0] = with_results(path, source[0])
        except Exception as problem:
            raise ExtensionError(f"{docname} does not run: {problem}") from problem
        finally:
            os.chdir(here)


def formula(translator, node):
    """A formula in a line."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display(translator, node):
    """A formula on lines of its own."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(formula, None), block_renderers=(display, None))
    app.connect("source-read", run_page)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
