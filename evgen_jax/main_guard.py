"""Check whether a script may start processes.

A new process imports the script and runs all that does not stand under `if __name__ == "__main__":`.
"""

import ast
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

from evgen_jax.errors import ConfigError


def check_guarded(what: str, instead: str) -> None:
    """Checks that new processes would not run the line of the running script that led to this call.

    Args:
      what: the activity that needs processes, as the message says it.
      instead: what helps besides a line `if __name__ == "__main__":`, as the message says it.

    Raises:
      ConfigError: the line does not stand under a condition on `__name__`; names script and line.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or multiprocessing.current_process().name != "MainProcess":
        return  # nothing that would be imported again, such as a notebook
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not (frame.f_globals is vars(main) and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    if frame is None or _is_guarded(Path(path), frame.f_lineno):
        return
    raise ConfigError(
        f"{path}: line {frame.f_lineno}: {what} starts processes, which import this file and would run this line again. "
        f'Put it under a line `if __name__ == "__main__":`, or {instead}.'
    )


def _is_guarded(path: Path, line: int) -> bool:
    """Whether a line of a file stands under a condition on `__name__`; True where the file cannot be read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    conditions = [n for n in ast.walk(tree) if isinstance(n, ast.If) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    return any(isinstance(n, ast.Name) and n.id == "__name__" for c in conditions for n in ast.walk(c.test))
