"""Comment lines of a detector table that have a meaning: name, origin, ignored labels, kinds of sensors, site."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evgen_jax.errors import DetectorError
from evgen_jax.measurement.site import Site, read_site


class LabelRange(NamedTuple):
    """Holds a range of labels, from a first to a last string and om number, both ends included."""

    first_string: int
    last_string: int
    first_om: int
    last_om: int


def read_comments(
    path: Path, comments: list[str]
) -> tuple[str | None, tuple[float, float, float] | None, tuple[LabelRange, ...], dict[str, str], Site | None]:
    """Reads the comment lines that have a meaning.

    Args:
      path: of the table, for messages.
      comments: lines that begin with #.

    Returns:
      Name and origin of the detector (None where the table does not say), ignored labels, kind of sensor -> form of its
      curve, and the site of the detector (None where the table does not say).

    Raises:
      DetectorError: a comment of another form, or a kind that is declared twice.
    """
    name, origin, ignored, kinds, site = None, None, [], dict[str, str](), None
    for line in comments:
        key, _, text = (part.strip() for part in line.lstrip("# \t").partition(":"))
        if key == "name":
            name = text or None
        elif key == "origin":
            try:
                x, y, z = map(float, text.replace(",", " ").split())
                if not np.all(np.isfinite([x, y, z])):
                    raise ValueError
            except ValueError:
                raise DetectorError(f"{path}: '# origin: {text}': expected three numbers, in m.") from None
            origin = (x, y, z)
        elif key == "site":
            site = read_site(text, f"{path}: '# site'")
        elif key == "ignored":
            found = re.fullmatch(r"string (\d+)(?:-(\d+))?, om (\d+)(?:-(\d+))?", text)
            if found is None:
                raise DetectorError(f"{path}: '# ignored: {text}': expected the form 'string 1-86, om 61-66'.")
            a, b, c, d = found.groups()
            ignored.append(LabelRange(int(a), int(b or a), int(c), int(d or c)))
        elif key.split()[:1] == ["kind"] and text:
            words = key.split()
            if len(words) != 2:
                raise DetectorError(f"{path}: '{line.strip()}': expected the form '# kind NAME: CURVE'.")
            if words[1] in kinds:
                raise DetectorError(f"{path}: the kind '{words[1]}' is declared twice.")
            kinds[words[1]] = text
    return name, origin, tuple(ignored), kinds, site
