"""How Sphinx builds the documentation: `make docs`, or `sphinx-build -W docs docs/_build`.

Pages about the code are written anew at every build by the modules of `_ext` from that code: environments,
algorithms, the reference, the board.  torch and other large libraries are not needed: they are stood in for.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "collm"
author = "the collm authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "generated"]
html_theme = "furo"
html_title = "collm"
html_static_path = ["_static"]
html_css_files = ["collm.css"]
html_extra_path = ["_extra"]
html_copy_source = False
html_show_sourcelink = False
exclude_patterns = ["_ext", "_extra", "_build", "_parts"]
for folder in ("_extra", "_static"):  # written at every build
    (HERE / folder).mkdir(exist_ok=True)

myst_heading_anchors = 3
autodoc_mock_imports = ["torch", "transformers", "peft", "safetensors", "tokenizers", "huggingface_hub"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_type_aliases = {"Json": "dict"}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
toc_object_entries = False
