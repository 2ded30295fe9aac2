"""Memory mappings of compiled programs, of which Linux allows a process only so many."""

import logging
from pathlib import Path

import jax

LOGGER = logging.getLogger("evgen_jax")
MAPPINGS = Path("/proc/self/maps")
"""Where Linux lists the mappings of this process, one a line."""
MOST_MAPPINGS = Path("/proc/sys/vm/max_map_count")
"""Where Linux says how many a process may have; 65 530 mostly."""
SHARE = 0.5
"""Share of them that programs may take: a program of a fit takes up to some 2000."""


def make_room_for_programs(limit: int | None = None) -> bool:
    """Forgets the compiled programs of this process if they fill its memory mappings.

    Every program that XLA compiles for the CPU takes hundreds of mappings. Where Linux has no more, the next one ends the
    process by a segmentation fault. Programs that were forgotten are compiled again when they are needed.

    Args:
      limit: number of mappings beyond which programs are forgotten; default `SHARE` of what Linux allows.

    Returns:
      Whether programs were forgotten. False where the system does not count mappings.
    """
    try:
        used = MAPPINGS.read_bytes().count(b"\n")
        most = int(SHARE * int(MOST_MAPPINGS.read_text())) if limit is None else limit
    except (OSError, ValueError):
        return False
    if used <= most:
        return False
    LOGGER.info("%d memory mappings are in use: compiled programs are forgotten", used)
    jax.clear_caches()
    return True
