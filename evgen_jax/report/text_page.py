"""One page of HTML from Markdown of paragraphs and tables, and figures."""

import html
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template


def text_page(text: str, figures: Sequence[tuple[str, Path]], directory: Path) -> str:
    """Writes a page.

    Args:
      text: Markdown: a heading in the first line, then paragraphs and tables.
      figures: headings and files.
      directory: in which the page will lie, above the figures.

    Returns:
      The page.
    """
    title, *lines = text.splitlines()
    body, rows = [], list[str]()
    for line in [*lines, ""]:
        if line.startswith("|"):
            if not re.fullmatch(r"[|-]+", line):
                cell = "td" if rows else "th"
                cells = (f"<{cell}>{html.escape(text.strip())}</{cell}>" for text in line.strip("|").split("|"))
                rows.append(f"<tr>{''.join(cells)}</tr>")
            continue
        if rows:
            body.append(f"<table>{''.join(rows)}</table>")
            rows = []
        if line:
            body.append(f"<p>{html.escape(line)}</p>")
    for heading, path in figures:
        source = html.escape(path.relative_to(directory).as_posix())
        body.append(f'<h2>{html.escape(heading)}</h2><img src="{source}" alt="{html.escape(heading)}">')
    template = Template((resources.files("evgen_jax") / "report" / "text_page.html").read_text())
    return template.substitute(title=html.escape(title.removeprefix("# ")), body="\n".join(body))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Makes the lines of a Markdown table.

    Args:
      head: of the columns.
      rows: of as many cells.

    Returns:
      Lines.
    """
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
