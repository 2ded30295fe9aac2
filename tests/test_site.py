"""What the pages of docs/ say runs: their Python, their commands, their files; and they have every public name.

A page is a session: its blocks run one after the other in one empty directory with one namespace.

- `python` runs. `yaml`, `csv` and `python` blocks with a title are written as files of that name.
- `bash`: every `evgen-jax` command exists with its options; one without a placeholder in capitals is executed.
- `py` needs what cannot be installed: it is Python whose imports from evgen_jax are public names. `test_icetray.py` runs it with
  classes that stand in for IceTray's.
- `<!-- nightly: REASON -->` in the line before a block: it runs in the nightly run alone.
"""

import ast
import json
import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from evgen_jax.building.model import build_source
from evgen_jax.building.named_models import load_model
from evgen_jax.cli.main import cli
from evgen_jax.config.validate import load_config

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DEMO = ROOT / "evgen_jax" / "tables" / "demo.yaml"
LANGUAGES = {"python", "py", "bash", "yaml", "csv", "text"}
FENCE = re.compile(
    r'^(?:<!-- nightly: (?P<reason>[^\n]+?) -->\n)?```(?P<language>\w*)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
PLACEHOLDER = re.compile(r"(?<![\w.])[A-Z][A-Z0-9]+\b(?![\w=])")


@dataclass(frozen=True)
class Block:
    """A block of a page: where it begins, its language, the file that it is, why it runs at night alone."""

    line: int
    language: str
    file: str | None
    reason: str | None
    text: str


def blocks(path):
    text = path.read_text()
    found = [
        Block(text.count("\n", 0, m.start()) + 1 + bool(m["reason"]), m["language"], m["file"], m["reason"], m["text"])
        for m in FENCE.finditer(text)
    ]
    assert 2 * len(found) == len(re.findall(r"^\s*```", text, re.MULTILINE)), f"{path.name}: a block that is not seen"
    return found


def commands_of(block):
    """The `evgen-jax` commands of a block as lists of words."""
    lines = re.sub(r"\\\n", " ", block.text).splitlines()
    for line in (shlex.split(line, comments=True) for line in lines):
        while line and re.fullmatch(r"[A-Z_]+=.*", line[0]):
            line = line[1:]
        while "&&" in line:
            yield line[: line.index("&&")]
            line = line[line.index("&&") + 1 :]
        yield line


def runs(words):
    """Whether a command names nothing that stands for something else."""
    return not any(PLACEHOLDER.search(word) for word in words)


def parse(words, where):
    """Reads the options of a command as the program does, without looking for its files."""
    try:
        _, rest, _ = cli.make_parser(click.Context(cli)).parse_args(list(words[1:]))
    except click.UsageError as error:
        pytest.fail(f"{where}: {' '.join(words)}: {error.format_message()}")
    if not rest:
        return
    name, *rest = rest
    assert name in cli.commands, f"{where}: no command {name}"
    context = click.Context(cli.commands[name], info_name=name, **cli.commands[name].context_settings)
    try:
        cli.commands[name].make_parser(context).parse_args(rest)
    except click.UsageError as error:
        pytest.fail(f"{where}: {' '.join(words)}: {error.format_message()}")


def run_page(path, command, directory, nightly):
    names = {"__name__": "page"}
    for block in blocks(path):
        where = f"{path.relative_to(ROOT)}:{block.line}"
        if block.reason and not nightly:
            continue
        if block.file:
            (directory / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, where, "exec"), names)  # noqa: S102 (what the page says)
        elif block.language == "bash":
            for words in commands_of(block):
                if words[:1] == ["evgen-jax"] and runs(words):
                    code, _, error = command(*words[1:])
                    assert code == 0, f"{where}: {' '.join(words)}: {error}"


def executed(path, nightly):
    """How many blocks of a page a run executes."""
    chosen = [block for block in blocks(path) if nightly or not block.reason]
    return sum(
        block.language == "python"
        or (block.language == "bash" and any(w[:1] == ["evgen-jax"] and runs(w) for w in commands_of(block)))
        for block in chosen
    )


def named(path):
    return str(path.relative_to(DOCS).with_suffix(""))


@pytest.fixture
def session(monkeypatch, tmp_path, registries):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", [p for p in PAGES if executed(p, False)], ids=named)
def test_page_runs(path, command, session):
    run_page(path, command, session, nightly=False)


@pytest.mark.nightly
@pytest.mark.parametrize("path", [p for p in PAGES if executed(p, True) > executed(p, False)], ids=named)
def test_whole_page_runs(path, command, session):
    run_page(path, command, session, nightly=True)


def test_every_block_is_of_a_known_kind():
    for path in PAGES:
        for block in blocks(path):
            assert block.language in LANGUAGES, f"{named(path)}:{block.line}: ```{block.language}"


@pytest.mark.parametrize("path", [p for p in PAGES if any(b.language == "py" for b in blocks(p))], ids=named)
def test_python_that_cannot_run_takes_public_names(path):
    for block in blocks(path):
        for node in ast.walk(ast.parse(block.text)) if block.language == "py" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evgen_jax":
                public = import_module(node.module).__all__
                for name in node.names:
                    assert name.name in public, f"{named(path)}:{block.line}: {node.module} has no {name.name}"


def test_commands_have_these_options():
    seen = set()
    for path in PAGES:
        for block in blocks(path):
            for words in commands_of(block) if block.language == "bash" else ():
                if words[:1] == ["evgen-jax"]:
                    parse(words, f"{named(path)}:{block.line}")
                    seen |= {w for w in words[1:] if w in cli.commands}
    assert seen == set(cli.commands), f"no page shows {set(cli.commands) - seen}"


@pytest.mark.parametrize("path", [p for p in PAGES if any(b.language == "yaml" for b in blocks(p))], ids=named)
def test_configurations_are_valid_over_that_of_the_demo(path, session):
    if "register_source" in path.read_text():
        for block in blocks(path):
            if block.language == "python":
                exec(block.text, {})  # noqa: S102 (what the page says)
    for block in blocks(path):
        if block.language == "yaml":
            (session / "block.yaml").write_text(block.text)
            config = load_config([DEMO, session / "block.yaml"])
            source, _ = build_source(config.model_settings, load=load_model)
            assert source.parameter_names


@pytest.mark.parametrize("words, message", [("tran CONFIG", "no command tran"), ("train CONFIG --steps 3", "--steps")])
def test_a_command_that_is_gone_is_found(words, message):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
        parse(["evgen-jax", *words.split()], "page:1")


def test_placeholders_are_told_from_values():
    assert not runs(["evgen-jax", "train", "CONFIG"]) and not runs(["evgen-jax", "show", "DIR/x", "-o", "p"])
    assert runs(["evgen-jax", "reconstruct", "demo", "events/a.hdf5", "--seed", "SmearedSeed"])


def test_differences_from_event_generator_name_tests_that_exist():
    tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (DOCS / "coming_from_event_generator.md").read_text())
    assert len(tests) > 30
    for file, function in tests:
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(), f"{file}::{function}"


def test_paths_of_the_pages_exist():
    for path in PAGES:
        for found in re.findall(r"`((?:experiments|benchmarks|tests|evgen_jax)/[\w./]*)`", path.read_text()):
            assert (ROOT / found).exists(), f"{named(path)}: {found}"


def test_a_page_becomes_a_notebook_with_its_python(monkeypatch):
    """Cells of code are the blocks of the page, which run; text has no links to pages that are not beside it."""
    monkeypatch.syspath_prepend(str(DOCS))
    page = DOCS / "first_event.md"
    found = json.loads(import_module("notebook").notebook(page.read_text()))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    cells = {
        kind: ["".join(c["source"]) for c in found["cells"] if c["cell_type"] == kind] for kind in ("code", "markdown")
    }
    assert cells["code"] == [block.text.strip("\n") for block in blocks(page) if block.language == "python"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in found["cells"] if c["cell_type"] == "code")
    text = "\n".join(cells["markdown"])
    assert text.startswith("# A first event") and "```python" not in text and "nightly" not in text
    assert not re.search(r"\]\((?!https?:)", text) and "][" not in text
    assert len({c["id"] for c in found["cells"]}) == len(found["cells"])


@pytest.fixture
def hooks(monkeypatch):
    pytest.importorskip("mkdocs", reason="the site needs pip install 'evgen_jax[docs]'")
    monkeypatch.syspath_prepend(str(DOCS))
    return import_module("hooks")


def test_every_public_name_has_one_place(hooks):
    places = [
        line.split()[1] if line.startswith(":::") else line.split("#")[-1].split("}")[0]
        for namespace in hooks.NAMESPACES
        for section in hooks.api_sections(namespace)
        for line in section.splitlines()
        if line.startswith((":::", "### "))
    ]
    assert len(places) == len(set(places))
    for namespace in hooks.NAMESPACES:
        page = DOCS / "api" / f"{namespace or 'index'}.md"
        assert page.is_file(), f"eg.{namespace} has no page"
        for name in set(import_module(f"evgen_jax.{namespace}".rstrip(".")).__all__) - set(hooks.NAMESPACES):
            assert hooks.page_of(namespace, name) in places


@pytest.mark.parametrize(
    "text, message", [("Gone", "has 'gone', which is not public"), ("", "leaves out .*load_model")]
)
def test_a_name_that_is_gone_or_left_out_stops_the_build(hooks, monkeypatch, text, message):
    import evgen_jax

    own = evgen_jax.__doc__
    changed = (
        own + "\nMore:\n  gone: no more.\n" if text else re.sub(r"\n  load_model, save_model:", "\n  save_model:", own)
    )
    monkeypatch.setattr(evgen_jax, "__doc__", changed)
    with pytest.raises(hooks.PluginError, match=message):
        list(hooks.api_sections(""))


@pytest.mark.nightly
@pytest.mark.skipif(find_spec("mkdocstrings") is None, reason="the site needs pip install 'evgen_jax[docs]'")
def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config as load_site

    build(load_site(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    loading = re.compile(
        r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?(https?:|//)|<link\b(?=[^>]*stylesheet)[^>]*href=\"?(https?:|//)"
    )
    for page in pages:
        text = page.read_text()
        # The theme would load mermaid and numbers of the repository from elsewhere, if a page had one.
        assert not loading.search(text) and 'class="mermaid"' not in text and "md-source" not in text, page
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:|//)", style.read_text()), style


def test_the_page_of_icetray_has_every_name_and_the_parameters(hooks):
    """IceTray is not there when the site is built: files are read, not imported."""
    page = (DOCS / "how_to" / "icetray.md").read_text()
    shown = re.findall(r"^::: (evgen_jax\.icetray\.\w+)\.(\w+)$", page, re.MULTILINE)
    assert sorted(name for _, name in shown) == import_module("evgen_jax.icetray").__all__
    for module, name in shown:
        text = (ROOT / (module.replace(".", "/") + ".py")).read_text()
        assert re.search(rf"^(class|def) {name}\(", text, re.MULTILINE), f"{module}.{name}"
    lines = list(hooks.tray_parameters())
    assert sum(line.startswith("\n### EventGenerator") for line in lines) == 3
    for name, (default, meaning) in import_module("evgen_jax.icetray.settings").PARAMETERS.items():
        assert f"| `{name}` | `{default!r}` | {meaning} |" in lines


def test_docstrings_of_the_site_hide_no_word():
    """Markdown takes <word> for a mark of HTML and shows nothing, unless it stands in a code span."""
    places = [*(ROOT / "evgen_jax").rglob("*.py")]
    assert len(places) > 300
    for path in places:
        for node in ast.walk(ast.parse(path.read_text())):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            text = (ast.get_docstring(node) or "") if documented else ""
            words = re.findall(r"<[a-z_]+>", re.sub(r"`[^`]*`", "", text))
            assert not words, f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}: {words[0]} is no code span"
