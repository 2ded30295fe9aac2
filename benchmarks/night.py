"""Runs the benchmarks one after the other, each in its own process, and writes one file of tables a topic.

    python benchmarks/night.py [TOPIC ...] [-o DIR] [--model MODEL] [--quick] [--again]

All topics take a night on two cores; --quick takes small sizes, and every file says its commands. Files are DIR/TOPIC.md, by
default in benchmarks/results. A topic that fails says so in its file and leaves the others alone. Run again after an
interruption, the command goes on: what was finished by the same code is kept (--again measures them anew). MODEL is an
exported model, such as `small_network.py` makes; topics of trained networks are skipped without one.
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
MODEL, FIGURES = "MODEL", "FIGURES"
"""Stand for the directories of a trained model and of figures in the arguments of a program."""
MINUTES = re.compile(r"^([\d.]+) minutes until ", re.MULTILINE)
"""Begins the line after the output of a command that has ended."""
LINES = 12
"""Last lines of the errors of a program that failed, in the file of its topic."""


class Topic(NamedTuple):
    """What is measured, and how: arguments of programs in this folder, for a night and in small."""

    title: str
    full: Sequence[str]
    quick: Sequence[str]

    def commands(self, quick: bool, model: Path | None, figures: Path) -> list[list[str]]:
        """Programs with their arguments."""
        places = {MODEL: str(model), FIGURES: str(figures)}
        return [
            [re.sub(f"{MODEL}|{FIGURES}", lambda found: places[found[0]], word) for word in line.split()]
            for line in (self.quick if quick else self.full)
        ]

    @property
    def needs_model(self) -> bool:
        return any(MODEL in line.split() for line in self.full)


def _by_energy(line: str, events: int) -> list[str]:
    """A study of events of the true likelihood in IceCube-86 in three ranges of energy."""
    ranges = ("1e3 1e4", "1e4 3e4", "5e4 1e5")
    return [f"{line} --array icecube86 --events {events} --merge 1 --energies {own}" for own in ranges]


TOPICS = {
    "training_step": Topic(
        "Training step",
        ["training_step.py", "training_step_of_cascades.py"],
        ["training_step.py", "training_step_of_cascades.py --repeats 3"],
    ),
    "likelihood": Topic("Log-likelihood and gradient", ["likelihood.py"], ["likelihood.py"]),
    "many_cascades": Topic(
        "Many cascades along a track",
        ["many_cascades.py default --accuracy 0.5 --figure FIGURES/many_cascades.png"],
        ["many_cascades.py default --numbers 1 10 100"],
    ),
    "unfolding": Topic(
        "Unfolding of energies along a track", ["unfolding.py --events 16"], ["unfolding.py --events 5"]
    ),
    "reader": Topic("Reading of files", ["reader.py"], ["reader.py --events 500"]),
    "import_parity": Topic("Imported models beside Event-Generator", ["import_parity.py"], ["import_parity.py"]),
    "training_loop": Topic("Training loop", ["training_loop.py"], ["training_loop.py"]),
    "photon_transport": Topic("Photon transport", ["photon_transport.py"], ["photon_transport.py --lanes 8192"]),
    "photons_in_layers": Topic(
        "Photons in layers, and the light table beside them",
        ["photons_in_layers.py --output FIGURES/photons_in_layers.png"],
        ["photons_in_layers.py --photons 200000 --cascades 6 --events 4"],
    ),
    "resolution": Topic(
        "Resolution beside the Cramer-Rao bound",
        ["resolution.py --figure FIGURES/resolution.png", "resolution.py --energies 1e4 --fits 200"],
        ["resolution.py --events 40 --fits 10 --figure FIGURES/resolution.png"],
    ),
    "resolution_in_water": Topic(
        "Resolution of a detector in sea water beside the Cramer-Rao bound",
        [
            "resolution.py --array small_water --events 100 --fits 40 --energies 3e3 1e4 3e4 --figure FIGURES/resolution_in_water.png"
        ],
        [
            "resolution.py --array small_water --events 10 --fits 4 --energies 1e4 --figure FIGURES/resolution_in_water.png"
        ],
    ),
    "pulls": Topic(
        "Pulls and contours of the true likelihood",
        _by_energy("calibration.py true pulls contours", 500),
        _by_energy("calibration.py true pulls contours", 100),
    ),
    "ranks": Topic(
        "Ranks of posterior samples of the true likelihood",
        [line.replace("icecube86", "small") for line in _by_energy("calibration.py true ranks", 100)],
        ["calibration.py true ranks --array small --events 10 --energies 1e3 1e4"],
    ),
    "minima": Topic(
        "Minima found from poor seeds and without seeds",
        [
            "reconstruction.py true minimum",
            "reconstruction.py true minimum --events 48 --energies 1e4 3e4",
            "reconstruction.py true minimum --array small_water --events 48 --energies 3e3 3e4",
        ],
        [
            f"reconstruction.py true minimum --array {array} --events 24 --starts 5"
            for array in ("small", "small_water --energies 3e3 3e4")
        ],
    ),
    "sky_maps": Topic(
        "Sky maps of the true likelihood",
        ["reconstruction.py true sky", "calibration.py true maps --array icecube86 --events 200 --energies 1e3 1e4"],
        ["reconstruction.py true sky --array small", "calibration.py true maps --events 10 --energies 1e3 1e4"],
    ),
    "time_per_fit": Topic(
        "Time per fit",
        ["reconstruction.py true speed", "fits_on_device.py true", "fits_on_device.py true --covariance"],
        ["reconstruction.py true speed --array small", "fits_on_device.py true --array small --events 16 --repeats 2"],
    ),
    "precision": Topic("Digits of float32 on this device", ["accelerator.py"], ["accelerator.py tiny true --events 4"]),
    "compiler_options": Topic("Options of the compiler", ["compiler_options.py"], ["compiler_options.py true"]),
    "validation": Topic(
        "Validation of a shipped network",
        ["validation.py --figures FIGURES"],
        ["validation.py --events 20 --fits 10 --figures FIGURES"],
    ),
    "network_fits": Topic(
        "Fits with a trained network",
        [f"reconstruction.py {MODEL} speed sky", f"minima_from_seeds.py {MODEL}", f"accelerator.py {MODEL}"],
        [f"minima_from_seeds.py {MODEL} --events 10"],
    ),
    "network_calibration": Topic(
        "Pulls, contours and ranks of a trained network",
        [f"calibration.py {MODEL} pulls contours", f"calibration.py {MODEL} ranks --events 100"],
        [f"calibration.py {MODEL} pulls contours --events 50"],
    ),
}


def code_version() -> str:
    """The commit that last changed the package or these programs, and whether they were changed since."""
    if subprocess.run(["git", "rev-parse"], cwd=HERE, capture_output=True).returncode:
        return "unknown"  # an unpacked archive
    own = ["--", ":/evgen_jax", ":/benchmarks/*.py"]
    run = lambda *words: subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True).stdout  # noqa: E731
    commit, changed = run("log", "-1", "--format=%h", *own).strip(), run("status", "--porcelain", *own).strip()
    return commit + (" with uncommitted changes" if changed else "")


def processor() -> str:
    """Model of the processor and number of its cores that may be used."""
    about = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", about.read_text(), re.MULTILINE) if about.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{found[1] if found else platform.processor() or platform.machine()}, {cores} cores"


class Record:
    """The file of a topic, which is complete at any moment: it says what is finished, what failed and what is missing.

    Args:
      path: of the file.
      title: of the topic.
      code: version of the package.
    """

    def __init__(self, path: Path, title: str, code: str):
        self._path, self._title, self._code = path, title, code
        self._day, self._parts = f"{datetime.now():%Y-%m-%d %H:%M}", [""]
        self._load = f"{os.getloadavg()[0]:.1f} processes" if hasattr(os, "getloadavg") else "unknown"

    def add(self, text: str) -> None:
        """Appends a paragraph, or a whole table."""
        self._parts.append(text.strip() + "\n")

    def extend(self, line: str) -> None:
        """Appends a line to what was added last."""
        self._parts[-1] += line

    def write(self, state: str) -> None:
        body = re.sub(r"\n{3,}", "\n\n", "\n".join(self._parts))
        minutes = sum(map(float, MINUTES.findall(body)))
        about = {
            "state": state, "evgen_jax": self._code, "JAX": version("jax"), "Python": platform.python_version(),
            "machine": processor(), "begun": self._day, "load when begun": self._load, "run time": f"{minutes:.1f} minutes",
        }  # fmt: skip
        head = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in about.items())])
        temporary = self._path.with_suffix(".partial")
        temporary.write_text(f"# {self._title}\n\n{head}\n{body}")
        temporary.replace(self._path)


def finished(path: Path, code: str) -> dict[str, str]:
    """What a file holds of commands that were finished by this code, by command."""
    text = path.read_text() if path.exists() else ""
    if f"| evgen_jax | {code} |" not in text or code == "unknown" or "uncommitted" in code:
        return {}
    pieces = re.split(r"^`(python benchmarks/.*)`$", text, flags=re.MULTILINE)[1:]
    bodies = dict(zip(pieces[::2], pieces[1::2], strict=True))
    return {shown: body for shown, body in bodies.items() if MINUTES.search(body) and "**Failed**" not in body}


def measure(record: Record, commands: dict[str, list[str]], kept: dict[str, str]) -> str:
    """Runs the programs of a topic, except those whose output is kept; returns its state."""
    state, environment = "finished", os.environ | {"PYTHONUNBUFFERED": "1"}
    for number, (shown, command) in enumerate(commands.items()):
        record.add(f"`{shown}`")
        record.add(kept.get(shown, ""))
        if shown in kept:
            continue
        begin, so_far = time.monotonic(), f"interrupted in command {number + 1} of {len(commands)}"
        record.write(so_far)
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    record.extend(line)
                    record.write(so_far)
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            errors.seek(0)
            told = "\n".join(errors.read().strip().splitlines()[-LINES:])
        record.add(f"{(time.monotonic() - begin) / 60:.1f} minutes until {datetime.now():%Y-%m-%d %H:%M}.")
        if code:
            state = "failed"
            record.add(f"**Failed** with exit code {code}:\n\n```\n{told}\n```")
        for figure in (word for word in command if word.endswith(".png") and Path(word).exists()):
            record.add(f"![{Path(figure).stem}]({Path(figure).parent.name}/{Path(figure).name})")
    record.write(state)
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=", ".join(TOPICS))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    parser.add_argument("--model", type=Path, help="directory of an exported model")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--again", action="store_true", help="measure what is finished as well")
    given = parser.parse_args()
    unknown = [name for name in given.topics if name not in TOPICS]
    if unknown:
        parser.error(f"'{unknown[0]}' is no topic; these are {', '.join(TOPICS)}.")
    # Files show the commands, and mean this folder wherever it lies.
    output = given.output.absolute()
    output = output.relative_to(Path.cwd()) if output.is_relative_to(Path.cwd()) else output
    (output / "figures").mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    states = []
    for name in given.topics or TOPICS:
        topic, path, code = TOPICS[name], output / f"{name}.md", code_version()
        if topic.needs_model and given.model is None:
            print(f"{name}: skipped; it needs a trained network, --model DIR", flush=True)
            continue
        lines = topic.commands(given.quick, given.model, output / "figures")
        shown = [" ".join(["python", f"benchmarks/{line[0]}", *line[1:]]) for line in lines]
        kept = {} if given.again else finished(path, code)
        if set(shown) <= set(kept):
            print(f"{name}: kept; {path} was finished by {code}", flush=True)
            continue
        print(f"{name}: ", end="", flush=True)
        programs = [[sys.executable, str(HERE / line[0]), *line[1:]] for line in lines]
        try:
            states.append(measure(Record(path, topic.title, code), dict(zip(shown, programs, strict=True)), kept))
        except KeyboardInterrupt:
            print(f"interrupted; {path} says how far it came. Run the command again to go on.")
            sys.exit(130)
        print(f"{states[-1]}; {path}", flush=True)
    sys.exit(1 if "failed" in states else 0)


if __name__ == "__main__":
    main()
