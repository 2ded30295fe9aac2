"""The command that runs all benchmarks: a file a topic, whatever happens to the others, and no topic twice."""

import re
import signal
import subprocess
import sys
import time
from importlib import metadata, util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PROGRAMS = {
    "counts.py": """
        import sys
        from pathlib import Path
        runs = Path(__file__).parent / "runs"
        runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
        print("| size |\\n|---|")
        print("|", *sys.argv[1:], "|")
    """,
    "fails.py": """
        import sys
        print("| half |\\n|---|")
        sys.exit("the detector of this machine has no strings")
    """,
    "waits.py": """
        import time
        print("| first row |", flush=True)
        time.sleep(600)
    """,
}


@pytest.fixture
def night(monkeypatch, tmp_path):
    """The program, with topics and programs of its own."""
    spec = util.spec_from_file_location("night", BENCHMARKS / "night.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(re.sub(r"^ {8}", "", text, flags=re.MULTILINE))
    module.TOPICS = {
        "broken": module.Topic("Broken", ["fails.py", "counts.py 7"], ["fails.py"]),
        "count": module.Topic("Counting", ["counts.py 9", "counts.py 8"], ["counts.py 1"]),
        "trained": module.Topic("Trained", ["counts.py MODEL"], ["counts.py MODEL"]),
    }
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "code_version", lambda: "abc1234")
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    yield module
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def run(night, monkeypatch, capsys):
    """Runs the command; returns its exit code and what it says."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["night.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            night.main()
        return stop.value.code, capsys.readouterr()

    return run


def test_a_topic_is_a_file_with_all_that_a_number_needs(run, tmp_path):
    code, said = run("count", "-o", tmp_path / "out")
    text = (tmp_path / "out" / "count.md").read_text()
    assert code == 0 and said.out.startswith("count: finished; ")
    for line in ("# Counting", "| state | finished |", "| evgen_jax | abc1234 |", f"| JAX | {metadata.version('jax')} |",
                 "`python benchmarks/counts.py 9`", "| 9 |"):  # fmt: skip
        assert line in text.splitlines(), text
    for name in ("machine", "begun", "run time", "Python"):
        assert re.search(rf"^\| {name} \| .*\d.* \|$", text, re.MULTILINE)
    code, _ = run("count", "--quick", "-o", tmp_path / "small")
    assert "`python benchmarks/counts.py 1`" in (tmp_path / "small" / "count.md").read_text()


def test_a_failing_program_is_told_and_leaves_the_others(run, tmp_path):
    code, said = run("-o", "out")
    broken, count = ((tmp_path / "out" / f"{name}.md").read_text() for name in ("broken", "count"))
    assert code == 1 and "broken: failed" in said.out and "count: finished" in said.out
    assert "| state | failed |" in broken and "**Failed** with exit code 1" in broken
    assert "the detector of this machine has no strings" in broken and "| half |" in broken and "| 7 |" in broken
    assert "| state | finished |" in count
    assert "trained: skipped; it needs a trained network, --model DIR" in said.out
    assert not (tmp_path / "out" / "trained.md").exists()


def test_finished_topics_of_the_same_code_are_kept(run, night, monkeypatch, tmp_path):
    def runs(*arguments):
        (tmp_path / "runs").write_text("")
        run("broken", "count", "-o", "out", *arguments)
        return len((tmp_path / "runs").read_text())

    assert runs() == 3 and runs() == 0
    broken = (tmp_path / "out" / "broken.md").read_text()
    assert "**Failed**" in broken and broken.count("| 7 |") == 1, "what failed runs again, what was finished does not"
    assert runs("--again") == 3
    assert runs("--quick") == 1, "another size is another command"
    monkeypatch.setattr(night, "code_version", lambda: "def5678")
    assert runs() == 3
    monkeypatch.setattr(night, "code_version", lambda: "def5678 with uncommitted changes")
    assert runs() == runs() == 3, "what the code was is not known"


def test_a_model_is_what_topics_of_networks_need(run, tmp_path):
    code, _ = run("trained", "--model", "some/model", "-o", "out")
    assert code == 0 and "`python benchmarks/counts.py some/model`" in (tmp_path / "out" / "trained.md").read_text()
    code, said = run("counting")
    assert code == 2 and "'counting' is no topic; these are broken, count, trained." in said.err


def test_an_interrupted_topic_says_so_and_keeps_its_rows(tmp_path, night):
    """A process of its own is stopped in the middle."""
    program = (BENCHMARKS / "night.py").read_text()
    program = re.sub(
        r"^TOPICS = \{.*?^\}", 'TOPICS = {"wait": Topic("Waiting", ["waits.py"], [])}', program, flags=re.S | re.M
    )
    (tmp_path / "night.py").write_text(program)
    path = tmp_path / "results" / "wait.md"
    with subprocess.Popen([sys.executable, "night.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (path.exists() and "first row" in path.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Run the command again to go on" in said
    assert "| state | interrupted in command 1 of 1 |" in path.read_text() and "| first row |" in path.read_text()


def test_topics_name_programs_and_options_that_exist():
    spec = util.spec_from_file_location("night", BENCHMARKS / "night.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (BENCHMARKS / "README.md").read_text()
    for link in re.findall(r"\]\(([\w./]+)\)", readme):
        assert (BENCHMARKS / link).is_file(), link
    for name, topic in module.TOPICS.items():
        assert f"`{name}`" in readme, f"benchmarks/README.md does not say what {name} is"
        for line in (*topic.full, *topic.quick):
            program, *words = line.split()
            source = (BENCHMARKS / program).read_text()
            for option in filter(lambda word: word.startswith("--"), words):
                assert f'"{option}"' in source, f"{name}: {program} has no option {option}"
