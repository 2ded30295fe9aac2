"""The floors of the house: a file imports only from its own floor or lower ones."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "evgen_jax"
FLOORS = {
    "constants": 0, "errors": 0, "files": 0, "version": 0, "progress": 0, "extras": 0, "main_guard": 0, "interruption": 0, "processes": 0,
    "numerics": 1, "geometry": 1, "acceptance": 1, "diffusion": 1, "muon": 1, "decoders": 1,
    "detector": 2, "detector_table": 2, "event": 2, "doors": 2, "measured": 2, "packing": 2, "time_anchor": 2, "trafo": 2, "config": 2, "layers": 2, "light_yield": 2,
    "sources": 3,
    "multi_sources": 4,
    "priors": 2, "likelihood": 5, "data": 5, "model": 5, "building": 5, "model_directory": 5,
    "parameters": 2, "hypotheses": 6, "analytic_model": 6, "experiment": 6, "training": 6, "reconstruction": 6, "simulation": 6, "simulation_record": 6, "export": 6, "plots": 6, "likelihood_gap": 6, "approximation": 6, "demo": 6, "event_report": 6, "report": 6,
    "cli": 7, "__init__": 7,
}  # fmt: skip
ONLY_IN = {
    "orbax": {"training/checkpoints.py"},
    "matplotlib": {"plots/canvas.py", "plots/overview.py"},
    "corner": {"plots/uncertainty.py"},
    "distributed": {"reconstruction/workers.py"},
    "astropy": {"reconstruction/sky_file.py"},
    "astropy_healpix": {"reconstruction/sky_map.py"},
    "blackjax": {"reconstruction/posterior.py"},
    "healpy": set(),  # GPL: tests alone may use it
    "pickle": set(),
    "h5py": {
        "data/tables.py",
        "data/hdf5_output.py",
        "reconstruction/table_file.py",
    },
    "yaml": {"config/reader.py", "training/history.py"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def test_no_arrow_runs_up():
    for path in ROOT.rglob("*.py"):
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        assert own in FLOORS, f"{path} has no floor; give it one here"
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "evgen_jax" and len(parts) > 1:
                assert FLOORS[parts[1]] <= FLOORS[own], f"{path} (floor {FLOORS[own]}) imports {name}"


def test_some_packages_are_imported_in_one_place():
    for path in ROOT.rglob("*.py"):
        for name in imported(path):
            allowed = ONLY_IN.get(name.split(".")[0])
            assert allowed is None or str(path.relative_to(ROOT)) in allowed, f"{path} imports {name}"


def test_files_stay_short():
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, f"{path} is longer than 400 lines"
