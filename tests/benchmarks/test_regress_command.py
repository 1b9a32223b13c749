"""The timing gate on any program: repositories whose programs print the times that a test wants to be decided on."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks import gate_pairs, regress
from results import gates
from results.gates import Design

BENCH = """import json, os, random

SLOWER, NOISE = 1.0, 0.001


def seconds(least):
    return least * random.SystemRandom().lognormvariate(0, NOISE)


print(json.dumps({"a": seconds(0.01) * SLOWER, "b": seconds(0.02)}))
"""
PYTHON = sys.executable
COMMAND = f"{PYTHON} bench.py"


def git(tree, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", str(tree), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of one program, in which the gate is called; its head is BENCH at first."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "bench.py").write_text(BENCH)
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "base")
    (tree / "edited.txt").write_text("")
    monkeypatch.chdir(tree)
    monkeypatch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)  # pytest's own handlers stay
    return tree


@pytest.fixture
def gate(tree, monkeypatch, capsys):
    """Runs the gate: exit status, what it decided, and all that it printed."""

    def run(*arguments, base="main", command=COMMAND):
        argv = ["benchmarks.regress", base, "--command", command, "--out", str(tree.parent / "out"), *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        try:
            status = regress.main()
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        there = (tree.parent / "out" / "gate.json").exists()
        assert len(git(tree, "worktree", "list").splitlines()) == 1
        return status, gates.read(tree.parent / "out") if there else None, said.out + said.err

    return run


def edit(tree, old, new):
    text = (tree / "bench.py").read_text()
    assert text.count(old) == 1
    (tree / "bench.py").write_text(text.replace(old, new))


def commit_noise(tree, noise):
    """Gives both sides' programs that much noise."""
    edit(tree, "NOISE = 1.0, 0.001", f"NOISE = 1.0, {noise}")
    git(tree, "commit", "-qam", "noise")


FIRST, LAST = regress.PULL_REQUEST.looks[0], regress.PULL_REQUEST.looks[-1]


@pytest.mark.parametrize(
    ("slower", "options", "status", "pairs", "words"),
    [
        (1.0, (), 0, FIRST, "No slowdown shown in "),
        (1.065, (), 1, FIRST, "Slower: a by 6."),
        (1.06, ("--floor", "9"), 0, FIRST, "No slowdown shown in "),
        (1.06, ("--case", "b"), 0, FIRST, "No slowdown shown in "),
        (0.9, (), 0, FIRST, "faster"),
    ],
    ids=["quiet", "slower", "significant, and below the floor", "another case", "faster"],
)
def test_a_program_is_decided_on_at_the_first_look_that_can(tree, gate, slower, options, status, pairs, words):
    edit(tree, "SLOWER, NOISE = 1.0", f"SLOWER, NOISE = {slower}")
    ended, found, said = gate(*options)
    assert (ended, len(found.pairs)) == (status, pairs), said
    assert words in said
    assert found.verdict.cases[0].ratio == pytest.approx(1 if "b" in options else slower, rel=0.003)
    assert found.dirty
    assert found.base_commit == git(tree, "rev-parse", "main")
    assert words in (tree.parent / "out" / "report.html").read_text()
    assert (tree.parent / "out" / "gate.md").read_text().startswith("### ")


def test_what_is_inconclusive_is_tried_once_more_with_new_pairs(tree, gate):
    commit_noise(tree, 0.2)
    status, found, said = gate()
    assert status == 3
    assert (len(found.pairs), len(found.earlier)) == (LAST, LAST)
    assert found.pairs[0] not in found.earlier
    assert "Inconclusive: 2 tries, the last of " in said
    assert "could miss a slowdown of 5 % (a, b)" in said


@pytest.mark.parametrize(
    ("given", "status", "level"),
    [("fail", 3, "error"), ("neutral", 0, "warning"), ("pass", 0, None)],
)
def test_ci_chooses_what_inconclusive_means(tree, gate, monkeypatch, given, status, level):
    commit_noise(tree, 0.2)
    monkeypatch.setattr(regress, "PULL_REQUEST", regress.PULL_REQUEST.model_copy(update={"most_seconds": 0}))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("TF_BUILD", "True")
    ended, found, said = gate("--inconclusive", given)
    assert (ended, found.verdict.decision) == (status, "inconclusive")
    marks = [line for line in said.splitlines() if line.startswith(("::", "##"))]
    expected = (f"::{level} title=Timing gate::Inconclusive: ", f"##vso[task.logissue type={level}]Inconclusive: ")
    assert len(marks) == (2 if level else 0)
    assert all(mark.startswith(start) for mark, start in zip(marks, expected, strict=False))


def test_a_slowdown_is_an_error_beside_the_job(tree, gate, monkeypatch):
    edit(tree, "SLOWER, NOISE = 1.0", "SLOWER, NOISE = 1.2")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert "\n::error title=Timing gate::Slower: a by " in gate()[2]
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in gate()[2]


def test_a_gate_that_runs_out_of_time_decides_with_what_it_has(tree, gate, monkeypatch):
    monkeypatch.setattr(regress, "PULL_REQUEST", regress.PULL_REQUEST.model_copy(update={"most_seconds": 0}))
    status, found, _ = gate()
    assert (status, len(found.pairs)) == (0, regress.FEWEST_PAIRS)
    commit_noise(tree, 0.05)
    status, found, _ = gate()
    assert (status, len(found.pairs)) == (3, regress.FEWEST_PAIRS), "so few pairs of so much noise show nothing"


TRACE = """import json, os, sys, time
began = time.time()
time.sleep(0.2)
entry = [os.getcwd(), os.environ["GATE_SEED"], sorted(os.sched_getaffinity(0)), began, time.time(), hash("x")]
with open({trace!r}, "a") as file:
    file.write(json.dumps(entry) + "\\n")
print(json.dumps({{"a": 0.01}}))
"""


def traced(tree, gate, *options):
    """Runs four pairs of programs that say where and when they ran: (folder, seed, cores, began, ended, a hash)."""
    trace = tree.parent / "trace.jsonl"
    (tree / "bench.py").write_text(TRACE.format(trace=str(trace)))
    git(tree, "commit", "-qam", "trace")
    status, found, said = gate(*options)
    assert status == 0, said
    runs = [json.loads(line) for line in trace.read_text().splitlines()]
    assert {run[0] == str(tree) for run in runs[:2]} == {True, False}, "each side ran once, before it was timed"
    return found, runs[2:]


@pytest.fixture
def four_pairs(monkeypatch):
    design = Design(looks=(4,), alphas=(0.01,), floor=0.05, detectable=0.1)
    monkeypatch.setattr(regress, "PULL_REQUEST", design)


def test_a_duet_runs_both_sides_at_once_on_a_core_each(tree, gate, four_pairs):
    found, runs = traced(tree, gate)
    assert found.in_duets
    assert len(runs) == 2 * 4
    by_seed = {seed: [run for run in runs if run[1] == seed] for seed in {run[1] for run in runs}}
    for one, other in by_seed.values():
        assert {one[0] == str(tree), other[0] == str(tree)} == {True, False}
        assert max(one[3], other[3]) < min(one[4], other[4]), "they overlap"
        assert len(one[2]) == len(other[2]) == 1, "a core each"
        assert one[5] == other[5], "text is hashed alike"
    assert len({pair[0][5] for pair in by_seed.values()}) == 4, "and otherwise in each pair"


def test_in_turns_one_side_runs_after_the_other_on_all_cores(tree, gate, four_pairs):
    found, runs = traced(tree, gate, "--in-turns")
    assert not found.in_duets
    assert found.machine.threads == len(os.sched_getaffinity(0))
    ordered = sorted(runs, key=lambda run: run[3])
    assert all(before[4] <= after[3] for before, after in itertools.pairwise(ordered))
    assert all(run[2] == sorted(os.sched_getaffinity(0)) for run in runs)


def test_both_sides_change_cores_again_and_again(tmp_path):
    """A program that looks at its core every 10 ms for a second, once alone in its process and once below a shell."""
    look = (
        "import os, time, json; n = [(time.sleep(0.01), tuple(os.sched_getaffinity(0)))[1] for _ in range(100)]; "
        "print(json.dumps([n.count(core) for core in sorted(set(n))]))"
    )
    for command in ((PYTHON, "-c", look), f"{PYTHON} -c '{look}'; true"):
        program = gate_pairs.Program("a side", command, tmp_path, os.environ)
        for printed in gate_pairs.duet((program, program), gate_pairs.two_cores(), seed=1):
            one, other = json.loads(printed)
            assert 30 <= one <= 70
            assert one + other == 100


def test_which_side_is_first_is_drawn_by_chance(tree, gate, monkeypatch):
    design = Design(looks=(40,), alphas=(0.01,), floor=0.05, detectable=0.1)
    monkeypatch.setattr(regress, "PULL_REQUEST", design)
    firsts = Counter(pair.first for pair in gate()[1].pairs)
    assert min(firsts["base"], firsts["head"]) >= 7, "of 40, by chance with p above 0.9999"


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("", "it printed no JSON such as"),
        ("print('fast')", "it printed no JSON such as"),
        ("print('{}')", "it printed a wrong value: Dictionary should have at least 1 item"),
        ("print('[1]')", "it printed a wrong value: Input should be an object"),
        ("""print('{"a": 0}')""", "it printed a wrong value for a: Input should be greater than 0"),
        ("""print('{"a": "0.1"}')""", "it printed a wrong value for a: Input should be a valid"),
        ("""print('{"a": true}')""", "it printed a wrong value for a: Input should be a valid"),
        ("""print('{"a": NaN}')""", "it printed a wrong value for a: Input should be"),
        ("raise ImportError('no such thing')", "ImportError: no such thing"),
        ("import os; os._exit(7)", "exit 7"),
    ],
    ids=["nothing", "text", "no case", "a list", "zero", "a text", "true", "NaN", "an exception", "a status"],
)
def test_a_program_that_prints_no_times_is_one_line(tree, gate, program, complaint):
    (tree / "bench.py").write_text(f"{program}\n")
    status, found, said = gate()
    assert (status, found) == (2, None)
    how, line = said.splitlines()
    assert how.startswith("both sides run at once")
    assert line.startswith("error: the working tree cannot be measured: ")
    assert complaint in line


def test_a_program_that_prints_without_end_is_ended(tree, gate, monkeypatch):
    monkeypatch.setattr(gate_pairs, "MOST_BYTES", 10_000)
    (tree / "bench.py").write_text("while True: print('again')\n")
    assert gate()[2].endswith("cannot be measured: it prints more than 10,000 bytes\n")


def test_times_without_any_sense_are_inconclusive(tree, gate, monkeypatch):
    monkeypatch.setattr(regress, "PULL_REQUEST", regress.PULL_REQUEST.model_copy(update={"most_seconds": 0}))
    edit(tree, "return least * random.SystemRandom().lognormvariate(0, NOISE)", "return 10 ** random.uniform(-9, 8)")
    git(tree, "commit", "-qam", "nonsense")
    status, found, _ = gate()
    assert status == 3
    assert {case.verdict for case in found.verdict.cases} == {"too noisy to tell"}


def test_what_a_program_prints_before_its_times_is_left_alone(tree, gate):
    edit(tree, "import json, os, random", "import json, os, random; print('warming up')")
    assert gate()[0] == 0


def test_a_case_that_one_side_lacks_is_an_error_and_another_can_be_chosen(tree, gate):
    edit(tree, '"b": seconds(0.02)', '"c": seconds(0.02)')
    status, _, said = gate()
    assert (status, said.splitlines()[-1]) == (2, "error: the working tree has no case b: choose others with --case")
    assert gate("--case", "a")[0] == 0
    assert "unknown case 'aa' (did you mean 'a'?)" in gate("--case", "aa")[2]


def test_a_case_that_is_lacking_once_is_an_error(tree, gate):
    edit(tree, "print(", "if os.environ['GATE_SEED'] != '0': print('{\"b\": 1}'); raise SystemExit\nprint(")
    assert gate()[2].splitlines()[-1] == "error: the working tree cannot be measured: it printed no a this time"


def test_a_tree_that_changes_meanwhile_is_not_judged_and_new_files_are_no_change(tree, gate):
    writes = "from pathlib import Path; Path('notes.txt').write_text('x')\n"
    edit(tree, "import json", f"{writes}import json")
    assert gate()[0] == 0
    git(tree, "add", "notes.txt")
    git(tree, "commit", "-qam", "notes")
    edit(tree, "write_text('x')", "write_text(str(os.getpid()) + 'y')")
    edit(tree, "from pathlib", "import os; from pathlib")
    status, _, said = gate()
    assert status == 2
    assert "the working tree changed while it was measured" in said


def test_no_failure_looks_like_a_slowdown_and_no_earlier_gate_like_this_one(tree, gate, monkeypatch):
    assert gate()[0] == 0

    def measure(*_):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(regress, "measure", measure)
    status, found, said = gate()
    assert status == regress.UNEXPECTED
    assert "unforeseen" in said
    assert found is None
    assert not (tree.parent / "out" / "gate.md").exists()


def test_without_a_setup_each_side_imports_its_own_package(tree, gate):
    """Also where PYTHONPATH names the working tree, and in a folder below its top."""
    package = tree / "src" / "speedy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("SECONDS = 0.01\n")
    (tree / "deep").mkdir()
    (tree / "deep" / "bench.py").write_text("import json, speedy\nprint(json.dumps({'a': speedy.SECONDS}))\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "a package")
    (package / "__init__.py").write_text("SECONDS = 0.02\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree / "deep")
        patch.setenv("PYTHONPATH", str(tree / "src"))
        status, found, said = gate()
    assert status == 1, said
    assert found.verdict.cases[0].ratio == pytest.approx(2)


def test_a_setup_runs_once_in_each_tree_in_an_environment_of_its_own(tree, gate):
    """The setup installs a version of the tree's own into the environment's packages, as pip would."""
    (tree / "setup.py").write_text(
        "import sysconfig, pathlib; home = pathlib.Path(sysconfig.get_path('purelib'))\n"
        "assert not (home / 'speedy.py').exists(), 'twice'\n"
        "(home / 'speedy.py').write_text('SECONDS = 0.01')\n"
    )
    (tree / "bench.py").write_text("import json, speedy\nprint(json.dumps({'a': speedy.SECONDS}))\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "an installed package")
    (tree / "setup.py").write_text((tree / "setup.py").read_text().replace("0.01", "0.03"))
    status, found, said = gate("--setup", "python setup.py", command="python bench.py")
    assert status == 1, said
    assert found.verdict.cases[0].ratio == pytest.approx(3)
    assert "pip" in found.machine.versions
    status, _, said = gate("--setup", "echo cannot; echo '[notice] a new pip'; false")
    line = f"error: main ({found.base_commit[:7]}) cannot be set up: cannot"
    assert (status, said.splitlines()[-1].partition(" (all")[0]) == (2, line)


def test_all_that_a_failed_program_printed_is_kept_beside_the_results(tree, gate):
    (tree / "bench.py").write_text("import sys; print('one\\ntwo'); sys.exit('three')\n")
    kept = tree.parent / "out" / "output.txt"
    line = gate()[2].splitlines()[-1]
    assert line == f"error: the working tree cannot be measured: three (all that it printed: {kept})"
    assert kept.read_text() == "one\ntwo\nthree\n"
    git(tree, "checkout", "-q", "bench.py")
    edit(tree, "SLOWER, NOISE = 1.0", "SLOWER, NOISE = 1.01")
    assert gate()[0] == 0
    assert not kept.exists(), "it would be taken for this gate's"


def test_a_command_that_names_the_working_tree_would_time_it_twice(tree, gate):
    for given in ({"command": f"{PYTHON} {tree}/bench.py"}, {}):
        status, _, said = gate(*([] if given else ["--setup", f"pip install {tree}"]), **given)
        assert (status, "is of the working tree, and both sides would run it" in said) == (2, True)
    (tree / ".venv").mkdir()
    (tree / ".venv" / "python").symlink_to(PYTHON)
    assert gate(command=f"{tree}/.venv/python bench.py # {tree}-other")[0] == 0, "an environment is both sides' own"


def test_a_package_in_the_folder_where_the_command_runs_is_each_sides_own(tree, gate, monkeypatch):
    """A repository of several packages, one of them installed as editable: its folder comes before that."""
    package = tree / "services" / "one" / "src" / "speedy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("SECONDS = 0.01\n")
    (tree / "services" / "one" / "bench").mkdir()
    program = "import json, speedy\nprint(json.dumps({'a': speedy.SECONDS}))\n"
    (tree / "services" / "one" / "bench" / "bench.py").write_text(program)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "a package")
    (package / "__init__.py").write_text("SECONDS = 0.02\n")
    monkeypatch.chdir(tree / "services" / "one")
    status, found, said = gate(command=f"{PYTHON} bench/bench.py")
    assert status == 1, said
    assert found.verdict.cases[0].ratio == pytest.approx(2)


def test_the_first_lines_say_how_pairs_run_and_what_may_surprise(tree, gate, monkeypatch):
    edit(tree, "SLOWER, NOISE = 1.0", "SLOWER, NOISE = 1.001")
    assert gate()[2].startswith("both sides run at once, on the cores ")
    assert gate("--in-turns")[2].startswith("the sides run one after the other, each on all cores")
    monkeypatch.setattr(gate_pairs, "two_cores", lambda: None)
    assert "this process may not use two whole cores" in gate()[2].splitlines()[0]
    git(tree, "checkout", "-q", "bench.py")
    (tree / ".gitmodules").write_text("")
    git(tree, "add", ".gitmodules")
    git(tree, "commit", "-qm", "a submodule")
    said = gate()[2]
    assert "differs from BASE in files that git does not know, and in nothing else" in said
    assert "BASE has submodules, which are empty in its tree" in said


def test_git_bisect_finds_the_slow_commit_past_one_that_cannot_be_tested(tree):
    """Of twelve commits the eighth is slower, and the sixth is broken."""
    for number in range(1, 13):
        text = BENCH.replace("SLOWER, NOISE = 1.0", f"SLOWER, NOISE = {1.3 if number >= 8 else 1.0}")
        (tree / "bench.py").write_text("raise ImportError\n" if number == 6 else f"{text}# {number}\n")
        git(tree, "commit", "-qam", f"commit {number}")
        git(tree, "tag", f"c{number}")
    git(tree, "bisect", "start", "c12", "main~12")
    command = [PYTHON, "-P", "-m", "benchmarks.regress", "main~12", "--bisect", "--command", COMMAND]
    command += ["--out", str(tree.parent / "out")]
    done = subprocess.run(
        ["git", "bisect", "run", *command],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(regress.ROOT)},
    )
    assert "is the first bad commit\n" in done.stdout, done.stdout + done.stderr
    assert f"{git(tree, 'rev-parse', 'c8')} is the first bad commit" in done.stdout


@pytest.mark.parametrize(
    ("program", "base", "options", "status"),
    [
        (BENCH.replace("NOISE = 1.0, 0.001", "NOISE = 1.0, 0.9"), "main", (), 125),
        ("raise ImportError", "main", (), 125),
        (BENCH, "mian", (), 255),
        (BENCH, "main", ("--floor", "x"), 255),
        (BENCH, "broken", (), 255),
    ],
    ids=["inconclusive", "broken", "unknown base", "wrong usage", "broken base"],
)
def test_bisect_skips_what_cannot_be_tested_and_stops_where_nothing_can(tree, gate, program, base, options, status):
    (tree / "bench.py").write_text("raise ImportError\n")
    git(tree, "commit", "-qam", "broken")
    git(tree, "tag", "broken")
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    (tree / "bench.py").write_text(f"{program}\n")
    assert gate("--bisect", *options, base=base)[0] == status


def test_a_shallow_clone_says_how_to_fetch_its_history(tree, gate, monkeypatch):
    for number in range(2):
        git(tree, "commit", "-qm", f"more {number}", "--allow-empty")
    clone = tree.parent / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{tree}", str(clone)], check=True)
    monkeypatch.chdir(clone)
    status, _, said = gate(base="HEAD~1")
    assert status == 2
    assert "a shallow clone: fetch its history with git fetch --unshallow (actions/checkout: fetch-depth: 0)" in said


def test_a_folder_outside_any_repository_is_one_line(tree, gate, monkeypatch):
    monkeypatch.chdir(tree.parent)
    status, _, said = gate()
    assert status == 2
    assert said.startswith(f"error: {tree.parent} is in no working tree of git: ")


def test_a_runs_folder_is_never_written_over(tree, gate, monkeypatch):
    (tree.parent / "out" / "records").mkdir(parents=True)
    assert "is a run's folder, whose page this would replace: name another" in gate()[2]


def test_a_program_is_timed_without_keras_and_without_any_model(tree):
    code = f"""import sys
sys.argv = ["regress", "main", "--command", {COMMAND!r}, "--out", {str(tree.parent / "out")!r}]
from benchmarks.regress import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
loaded = [name for name in sys.modules if name.split(".")[0] in ("keras", "tensorflow", "pandas", "matplotlib")]
loaded += [name for name in sys.modules if name.startswith("models.") and name != "models.settings"]
assert not loaded, loaded"""
    env = os.environ | {"PYTHONPATH": str(regress.ROOT)}
    done = subprocess.run([PYTHON, "-c", code], cwd=tree, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_the_docs_walk_from_installing_the_gate_to_its_verdict_works(tmp_path):
    """Every shell block of the docs' section, in a folder with this project's code where they clone it."""
    section = (regress.ROOT / "docs" / "timing-gate.md").read_text().split("## Any program\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    first, clone = blocks[0].split("\n", 1)[1], tmp_path / "eanet-ablation"
    assert blocks[0].startswith("git clone ")
    for room in ("models", "benchmarks", "results", "report"):
        shutil.copytree(
            regress.ROOT / room, clone / room, ignore=shutil.ignore_patterns("runs", "reference", "__pycache__")
        )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(regress.ROOT / name, clone)
    git(tmp_path, "config", "--file", str(tmp_path / "gitconfig"), "user.name", "A")
    git(tmp_path, "config", "--file", str(tmp_path / "gitconfig"), "user.email", "a@example.org")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["bash", "-e", "-c", "".join([first, *blocks[1:]])],
        cwd=tmp_path,
        env=kept | {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Slower: count by " in done.stdout
    assert "### Slower" in (tmp_path / "gate" / "gate.md").read_text()
    packages = subprocess.run(
        [tmp_path / "gate-env" / "bin" / "pip", "list", "--format", "json"], capture_output=True, check=True
    )
    names = {package["name"].lower() for package in json.loads(packages.stdout)}
    assert not names & {"keras", "tensorflow", "pandas", "matplotlib", "seaborn"}
