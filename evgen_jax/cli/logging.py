"""How much the commands say."""

import logging
import sys

QUIET, NORMAL, VERBOSE, DEBUG = -1, 0, 1, 2
"""Verbosities: errors alone; warnings; what is done; what other packages do, too."""
LEVELS = {QUIET: logging.ERROR, NORMAL: logging.WARNING, VERBOSE: logging.INFO, DEBUG: logging.DEBUG}
"""Verbosity -> level of logging."""


class BesideBars(logging.Handler):
    """Writes messages to standard error on lines of their own, above a bar that is being shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one message.

        Args:
          record: the message.
        """
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # as logging's own handlers do: a message that cannot be shown stops nothing
            self.handleError(record)


def set_verbosity(level: int) -> None:
    """Sets what is logged and whether bars are shown.

    Args:
      level: QUIET, errors alone and no bars; NORMAL, warnings and bars; VERBOSE, also what is done; DEBUG, also what
        other packages do, with times and names.
    """
    level = min(max(level, QUIET), DEBUG)
    detailed = "%(asctime)s %(name)s: %(message)s" if level >= DEBUG else "%(message)s"
    logging.basicConfig(handlers=[BesideBars()])  # unless there is one
    for handler in logging.getLogger().handlers:
        if type(handler) in (logging.StreamHandler, BesideBars):
            handler.setFormatter(logging.Formatter(detailed))
    logging.getLogger().setLevel(logging.INFO if level >= DEBUG else LEVELS[min(level, NORMAL)])
    logging.getLogger("evgen_jax").setLevel(LEVELS[level])
    # What goes wrong inside Orbax is raised as well, and told in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
