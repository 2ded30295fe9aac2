"""A page as a Jupyter notebook: its Python is cells of code, all else is text."""

import json
import re
from typing import Any

CODE = re.compile(r"^(?:<!-- nightly: [^\n]+ -->\n)?```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
"""A block of Python of a page."""
PAGE_LINK = re.compile(r"\[([^\]]+)\](?:\((?!https?:)[^)]*\)|\[[^\]]*\])")
"""A link to another page or to a public name, which a notebook does not have beside it."""


def notebook(page: str) -> str:
    """Writes a page as a notebook.

    Args:
      page: Markdown, whose Python runs from the first block to the last.

    Returns:
      The notebook (format 4.5, not executed).
    """
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(CODE.split(page)):
        text = part.strip("\n") if number % 2 else PAGE_LINK.sub(r"\1", part).strip()
        if not text:
            continue
        own: dict[str, Any] = {"id": f"cell-{len(cells)}", "metadata": {}, "source": text.splitlines(keepends=True)}
        kind = (
            {"cell_type": "code", "execution_count": None, "outputs": []} if number % 2 else {"cell_type": "markdown"}
        )
        cells.append({**kind, **own})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
