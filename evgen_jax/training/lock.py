"""One training per directory: a lock file that outlives no process."""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evgen_jax.errors import CheckpointError
from evgen_jax.files import set_aside

FILE = "training.lock"
"""Name of the lock in the directory of a training."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the lock of a training directory, which is made if needed; released on every exit.

    The file names process, host and the process's start. It is put there by a hard link, which is atomic on network
    file systems too. A lock of a process of this host that is gone does not count.

    Args:
      directory: of the training.

    Yields:
      Nothing; the lock is held inside.

    Raises:
      CheckpointError: another training uses the directory, or one on another host may.
    """
    missing = [d for d in (directory, *directory.parents) if not d.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    path, own = directory / FILE, json.dumps(_this_process())
    while not _put(path, own):
        held = _read(path)
        if held is None:
            continue  # released in this moment
        if not _is_over(held):
            raise CheckpointError(_in_use(directory, held))
        _remove(path, json.dumps(held))
    try:
        yield
    finally:
        if _read(path) == json.loads(own):
            path.unlink(missing_ok=True)
        for made in missing:
            # A training that was refused leaves nothing behind.
            if made.is_dir() and not any(made.iterdir()):
                made.rmdir()


def set_run_aside(directory: Path) -> Path | None:
    """Moves the files of the run whose lock this process holds; the lock stays in the emptied directory.

    Args:
      directory: of the training.

    Returns:
      Where the files are now; None if there were none.

    Raises:
      CheckpointError: another training took the lock meanwhile.
    """
    lock = directory / FILE
    text = lock.read_text()
    lock.unlink()
    earlier = set_aside(directory) if any(directory.iterdir()) else None
    directory.mkdir(parents=True, exist_ok=True)
    if not _put(lock, text):
        raise CheckpointError(_in_use(directory, _read(lock) or {}))
    return earlier


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _start(os.getpid()),
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "key": uuid.uuid4().hex,
    }


def _start(pid: int) -> str | None:
    """When a process started, in ticks since the host did; None where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _put(path: Path, text: str) -> bool:
    """Writes the file unless it exists; whether it was written."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with open(path, "x") as file:
                file.write(text)
        except FileExistsError:
            return False
    finally:
        draft.unlink()
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return {}


def _is_over(held: dict[str, Any]) -> bool:
    """Whether the process of a lock is known to be gone."""
    if held.get("host") != socket.gethostname() or not isinstance(held.get("pid"), int) or os.name == "nt":
        return False
    try:
        os.kill(held["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's process
    return held.get("started") != _start(held["pid"])


def _remove(path: Path, held: str) -> None:
    """Removes a lock that is over, unless another process has replaced it meanwhile."""
    taken = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(taken)
    except FileNotFoundError:
        return
    if _read(taken) != json.loads(held):
        _put(path, taken.read_text())
    taken.unlink()


def _in_use(directory: Path, held: dict[str, Any]) -> str:
    if not held.get("pid"):
        return f"{directory / FILE}: is no lock that can be read. Remove it if no training runs in this directory."
    who = f"process {held['pid']} on host {held['host']}, since {held['date']}"
    here = held["host"] == socket.gethostname()
    advice = f"If it runs no more, remove {directory / FILE}."
    if here:
        advice = "Wait for its end, or give another model_manager_settings.config.manager_dir."
    return f"{directory}: another training uses this directory ({who}). {advice}"
