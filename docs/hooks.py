"""What the build of the site adds to the pages: figures, reference of keys, API reference, changelog and measurements.

MkDocs calls the functions whose names begin with on_.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import figures
import notebook
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import evgen_jax
from evgen_jax.report.reference import reference_page

ROOT = Path(__file__).parent.parent
NAMESPACES = ("", "sources", "decoders", "data", "simulation", "training", "reconstruction", "plots")
"""Packages whose public names have a page each, that of `evgen_jax` itself first."""
NOTEBOOKS = ("first_event",)
"""Pages that can be downloaded as notebooks."""
RESULTS = "trust/"
"""Folder of the site for benchmarks/results."""
REPOSITORY_PATH = re.compile(r"\]\((?!https?:|#|figures/)[^)]*\)")
"""Links of files of the repository to others that are no pages."""


def on_pre_build(config: MkDocsConfig) -> None:
    """Makes the figures that are not there.

    Args:
      config: of the site.
    """
    figures.make_missing(Path(config.docs_dir) / "figures")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made and not written.

    Args:
      files: those of docs/.
      config: of the site.

    Returns:
      All files of the site.
    """
    made = {"reference/configuration.md": configuration_page(), "changelog.md": (ROOT / "CHANGELOG.md").read_text()}
    results = ROOT / "benchmarks" / "results"
    made |= {f"{RESULTS}{path.name}": path.read_text() for path in sorted(results.glob("*.md"))}
    made |= {f"{name}.ipynb": notebook.notebook((ROOT / "docs" / f"{name}.md").read_text()) for name in NOTEBOOKS}
    made["trust/index.md"] = REPOSITORY_PATH.sub("]", (ROOT / "benchmarks" / "README.md").read_text())
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted((results / "figures").glob("*")):
        files.append(File.generated(config, f"{RESULTS}figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Writes what is made below the text of a page: public names in the API reference, parameters of a fit in IceTray.

    Args:
      markdown: text of the page.
      page: what it is of.
      config: of the site.
      files: of the site.

    Returns:
      Text of the page.
    """
    name = page.file.src_uri
    if name == "how_to/icetray.md":
        return "\n".join([markdown, *tray_parameters()])
    if not name.startswith("api/"):
        return markdown
    return "\n".join([markdown, *api_sections("" if name == "api/index.md" else Path(name).stem)])


def configuration_page() -> str:
    """Writes the reference of keys.

    Returns:
      The page as Markdown.
    """
    return reference_page()


def tray_parameters() -> Iterator[str]:
    """Writes the parameters of the modules for IceTray, which are read from their files: IceTray is not there.

    Yields:
      Lines of Markdown, a table for each module.
    """
    for path in sorted((Path(evgen_jax.__file__).parent / "icetray").glob("*.py")):
        lines = ast.parse(path.read_text()).body
        for node, note in zip(lines, lines[1:], strict=False):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PARAMETERS" and node.value is not None:
                named = re.search(r"of the modules? (\w+(?: and \w+)?)", ast.unparse(note))
                if named is None:
                    raise PluginError(f"{path}: what stands below PARAMETERS does not name their module.")
                yield from (f"\n### {named[1]}: parameters\n", "| parameter | default | meaning |", "|---|---|---|")
                for name, (default, meaning) in ast.literal_eval(node.value).items():
                    yield f"| `{name}` | `{default!r}` | {meaning} |"


def api_sections(namespace: str) -> Iterator[str]:
    """Writes what the API reference has of the public names of a package, in the order of its contents page.

    A name that is public in several places has its page where it stands first, and a link elsewhere.

    Args:
      namespace: one of NAMESPACES.

    Yields:
      Lines of Markdown.

    Raises:
      PluginError: a public name that the contents page (the docstring of the package) leaves out, or one that it has and
        that is not public.
    """
    package = import_module(f"evgen_jax.{namespace}".rstrip("."))
    public, listed = set(package.__all__) - set(NAMESPACES), set[str]()
    for title, names in contents(package.__doc__ or ""):
        own = [name for name in names if name not in NAMESPACES]
        if own:
            yield f"\n## {title}\n"
        for name in own:
            if name not in public:
                raise PluginError(f"{package.__name__}: its contents page has '{name}', which is not public.")
            listed.add(name)
            here, there = f"{package.__name__}.{name}", page_of(namespace, name)
            if here != there:
                yield f"`{short(here)}` is [`{short(there)}`][{there}].\n"
            elif foreign := of_another_package(package, name):
                yield f"### {name} {{#{here}}}\n\n`{foreign}`.\n"
            else:
                yield f"::: {here}\n"
    if public - listed:
        raise PluginError(f"{package.__name__}: its contents page leaves out {', '.join(sorted(public - listed))}.")


def contents(text: str) -> Iterator[tuple[str, list[str]]]:
    """Reads the contents page of a package.

    Args:
      text: its docstring: titles that end with a colon, below them lines `  name, name: what they are.`

    Yields:
      (title, names) of each section.
    """
    for section in re.split(r"\n(?=\S[^\n]*:\n)", text)[1:]:
        title, body = section.split(":\n", 1)
        lines = re.findall(r"^  ((?:\w+, )*\w+): ", body, re.MULTILINE)
        yield title.split(", see ")[0], [name for line in lines for name in line.split(", ")]


def page_of(namespace: str, name: str) -> str:
    """Finds where a public name has its page.

    Args:
      namespace: one of NAMESPACES.
      name: that it has there.

    Returns:
      Its full name in the first namespace that has it.
    """
    value = getattr(import_module(f"evgen_jax.{namespace}".rstrip(".")), name)
    for first in NAMESPACES:
        package: Any = import_module(f"evgen_jax.{first}".rstrip("."))
        if name in package.__all__ and getattr(package, name) is value:
            return f"{package.__name__}.{name}"
    raise AssertionError(name)


def of_another_package(package: Any, name: str) -> str:
    """Tells where a public name comes from that is not of evgen_jax.

    Args:
      package: that has the name.
      name: what is looked for.

    Returns:
      Its full name there; empty for a name of evgen_jax.
    """
    value = getattr(package, name)
    module = getattr(value, "__module__", evgen_jax.__name__)
    return "" if module.startswith(evgen_jax.__name__) else f"{module}.{name}"


def short(name: str) -> str:
    """Writes a full name as users write it.

    Args:
      name: such as evgen_jax.data.Event.

    Returns:
      The name, such as eg.data.Event.
    """
    return name.replace(evgen_jax.__name__, "eg", 1)
