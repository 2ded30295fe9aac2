"""The README is one screen whose links and commands exist; commands and paths of the documents beside the site exist."""

import re
from pathlib import Path

import pytest

from evgen_jax.cli.main import cli
from evgen_jax.config.validate import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "experiments" / "README.md"]
"""Documents of the repository that are no pages of the site; `tests/test_site.py` has those."""


def test_the_readme_is_one_screen_and_begins_with_its_two_commands():
    assert len(README.splitlines()) <= 40
    (block,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    assert commands == ["pip install -e . && evgen-jax demo", "pip install -e '.[test]' && pytest"]


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 8
    for link in links:
        assert (ROOT / link).exists(), link


def test_commands_of_the_documents_exist():
    text = "".join(document.read_text() for document in DOCUMENTS)
    named = set(re.findall(r"evgen-jax ([a-z][a-z-]*)", text))
    assert named and named <= set(cli.commands), named - set(cli.commands)
    listed = (ROOT / "docs" / "commands.md").read_text()
    assert set(cli.commands) <= set(re.findall(r"^evgen-jax ([a-z][a-z-]*)", listed, re.MULTILINE)), (
        "a command is left out"
    )


def test_paths_of_the_documents_exist():
    for document in DOCUMENTS:
        for path in re.findall(r"`((?:experiments|benchmarks|tests|evgen_jax|docs)/[\w./]*)`", document.read_text()):
            assert (ROOT / path).exists(), f"{document.name}: {path}"


@pytest.mark.parametrize(
    "path", [ROOT / "experiments" / "oracle_gap.yaml", ROOT / "evgen_jax" / "tables" / "demo.yaml"]
)
def test_shipped_configurations_are_valid(path):
    from evgen_jax.building.model import build_source

    config = load_config(path)
    source, _ = build_source(config.model_settings)
    assert len(source.parameter_names) == 7
