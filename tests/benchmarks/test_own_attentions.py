"""An attention of a user's own file: real files, run by real workers, from the documented one to each that fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import datasets
from benchmarks.inputs import InputError
from benchmarks.own_attentions import costed, described
from benchmarks.plan import Overrides, Plan, build_plan
from models.attentions.attention import Grows
from models.attentions.own import OwnAttention
from results import store
from results.records import Failure
from tests.trials import SMALL, history, outcomes

ROOT = Path(__file__).parent.parent.parent
DOCUMENTED = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "adding-an-attention.md").read_text(), re.DOTALL)[1]
"""The file that docs/adding-an-attention.md shows."""
LINEAR = """
from models.attentions.linear import LinearAttention
from models.layers import linear

class Mine(LinearAttention):
    parts, grows, role = LinearAttention.parts, LinearAttention.grows, "rival"

class MineLayer(linear.LinearAttention):
    pass
"""
"""Linear attention, as a file of a user's own."""


@pytest.fixture
def file(tmp_path):
    """Writes a file of that source, the documented one with replacements, and returns its path."""

    def write(*replacements, source=DOCUMENTED, name="token_mlp.py"):
        for old, new in replacements:
            assert old in source
            source = source.replace(old, new)
        (tmp_path / name).write_text(source)
        return tmp_path / name

    return write


def planned(path, suite="rivals", given=None, variants=("vit-16",), **overrides):
    """The plan of a suite with the attention of a file, and its cost."""
    own = described([path], "tensorflow", given or {})
    asked = Overrides(attentions=own, variants=variants, **overrides)
    return costed(
        build_plan([suite], "quick", lambda name: datasets.survey(name, None).shape, asked),
        overrides.get("backend", "tensorflow"),
    )


def of(plan, variant="token-mlp"):
    return [trial for trial in plan.trials if trial.variant == variant]


def test_the_documented_file_has_about_thirty_lines_and_tells_all_that_is_asked_of_it(file):
    assert 20 < len(DOCUMENTED.splitlines()) < 35
    (attention,) = described([file()], "tensorflow", {}).values()
    assert attention == OwnAttention(
        file="token_mlp.py",
        source_sha256=attention.source_sha256,
        settings={"units": 61},
        grows=Grows("linear", "linear"),
        role="rival",
        source=DOCUMENTED.encode(),
    )
    assert re.fullmatch("[0-9a-f]{64}", attention.source_sha256)


def test_its_cost_is_the_one_it_tells_at_each_size_and_agrees_with_its_graph(file):
    plan = planned(file(), suite="scaling", variants=("vit",))
    assert plan.notes == ()
    costs = {t.patches: t.attention.cost(64, t.patches) for t in of(plan) if t.scope == "core"}
    assert len(costs) == 8
    for patches, cost in costs.items():
        assert cost.multiply_adds == 2 * 61 * 64 * patches
        assert cost.parameters == 2 * 61 * patches + 61 + patches


def test_a_trials_id_has_the_hash_of_the_file_and_its_settings_and_not_its_place(file, tmp_path):
    ids = {of(planned(path))[0].trial_id for path in (file(), file(source=DOCUMENTED))}
    assert len(ids) == 1
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "token_mlp.py").write_text(DOCUMENTED)
    ids |= {of(planned(tmp_path / "elsewhere" / "token_mlp.py"))[0].trial_id}
    assert len(ids) == 1
    ids |= {of(planned(file(("Token mixing", "Mixing"))))[0].trial_id}
    ids |= {of(planned(file(), given={"units": "17"}))[0].trial_id}
    assert len(ids) == 3


def test_shared_settings_reach_it_and_its_own_are_set_by_name(file):
    with_rate = file(
        ("    units: Count = 61\n", "    units: Count = 61\n    attention_dropout: Rate = 0.5\n"),
        ("import Count", "import Count, Rate"),
    )
    (trial, *_) = of(planned(with_rate, given={"units": "17", "epochs": "3"}))
    assert dict(trial.attention.settings) == {"units": 17, "attention_dropout": 0.1}, "the profile's rate"


def test_it_joins_open_suites_alone_whatever_variants_are_named(file):
    own = described([file()], "tensorflow", {})
    asked = Overrides(attentions=own, variants=("vit-16",))

    def build(*suites):
        return build_plan(suites, "quick", lambda name: datasets.survey(name, None).shape, asked)

    assert {trial.variant for trial in build("rivals").trials} == {"vit-16", "token-mlp"}
    with pytest.raises(InputError, match="--attention changes nothing: of the suites these take one: scaling, rivals"):
        build("matched-budget")


def test_it_is_trained_exactly_as_the_same_attention_that_is_here(file, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    plan = planned(
        file(source=LINEAR, name="mine.py"), variants=("linear",), seeds=1, epochs=2, settings=SMALL | {"heads": "2"}
    )
    ours, theirs = (outcomes([trial], tmp_path)[0] for trial in (*of(plan, "mine"), *of(plan, "linear")))
    assert history(ours) == history(theirs)
    assert (ours.parameters, ours.multiply_adds) == (theirs.parameters, theirs.multiply_adds)


def test_the_page_shows_it_without_running_it(file, tmp_path):
    """What the file writes when it is run is gone before the page is made, and does not come back."""
    ran = tmp_path / "ran"
    path = file((DOCUMENTED, f"open({str(ran)!r}, 'a').close()\n{DOCUMENTED}"))
    small = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = ["-m", "benchmarks.run", "--suite", "rivals", "--variant", "vit-16", "--attention", str(path)]
    command += ["--seeds", "1", "--epochs", "1", *small, "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"^token-mlp: [+−]\d+\.\d pp vs ViT \(key_dim 16\), ", done.stdout, re.MULTILINE)
    ran.unlink()
    path.unlink()
    subprocess.run([sys.executable, "-m", "report", str(tmp_path / "run"), "--quiet"], cwd=ROOT, check=True)
    assert not ran.exists()
    page = (tmp_path / "run" / "report.html").read_text()
    (record,) = (record for record in store.load(tmp_path / "run").trainings if record.variant == "token-mlp")
    assert record.trial.attention.source == b"", "the text is in the run's folder, once"
    assert record.trial.attention.source_sha256 in page
    assert "token-mlp" in re.search(r"<figure.*?</figure>", page[page.index('id="ablations"') :], re.DOTALL)[0]
    (kept,) = (tmp_path / "run" / "attentions").iterdir()
    assert kept.read_text().endswith(DOCUMENTED)
    assert str(tmp_path) not in (tmp_path / "run" / "plan.json").read_text() + record.environment.command


def test_a_cost_that_is_wrong_or_not_told_is_noted(file, tmp_path):
    wrong = planned(file(("multiply_adds=products, kept=hidden", "multiply_adds=3 * products, kept=hidden")))
    assert wrong.notes == (
        f"token_mlp.py ({of(wrong)[0].attention.source_sha256[:7]}) reports another cost than its layer has, at 16 "
        "patches of 64 features: "
        f"{4 * 61 * 64 * 16:,} multiply-adds and not {2 * 61 * 64 * 16:,}",
    )
    parts = DOCUMENTED[DOCUMENTED.index("        x, hidden") : DOCUMENTED.index("class TokenMlpLayer")]
    silent = planned(file((parts, "        return None\n\n\n")), settings=SMALL, seeds=1, epochs=1)
    (note,) = silent.notes
    assert note.endswith(") reports no cost: its multiply-adds are missing, and estimates leave it out")
    (record,) = outcomes(of(silent), tmp_path)
    assert record.multiply_adds is None
    kernel = "ops.ones((1, x.shape[1], x.shape[1]))"
    convolved = planned(file(("swap(self.mixed(ops", f"swap(ops.conv(swap(x), {kernel}) + self.mixed(ops")))
    assert "has products in Conv" in convolved.notes[0]


STEP = "return swap(self.mixed(ops.gelu(self.hidden(swap(x)))))"


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ((DOCUMENTED, "import nowhere"), "line 1: ModuleNotFoundError: No module named 'nowhere'; docs/adding-an-att"),
        (("def parts(", "def parts(("), "SyntaxError: "),
        ((DOCUMENTED, ""), "ValueError: defines none of Attention: expected one class of models.attentions.attention"),
        (("(AttentionLayer):", ":"), "defines none of AttentionLayer: expected one class of models.layers.attention"),
        (
            ('    role = "rival"\n', ""),
            "TypeError: the attention TokenMlp (own attention token_mlp.py) does not say its",
        ),
        (('"rival"', '"hero"'), "ValidationError: role = 'hero': should be 'rival', 'base' or 'control'"),
        ((": Count = 61", ": Count"), "ValidationError: units: Field required"),
        (("units", "blocks"), "its setting blocks is another's name; rename it"),
        (
            (DOCUMENTED, "import os; print('last'); os._exit(7)"),
            "its process exited with 7 before it gave an answer: las",
        ),
        (
            (DOCUMENTED, "import os; os.kill(os.getpid(), 11)"),
            "its process was ended by SIGSEGV before it gave an answer",
        ),
        ((STEP, "raise RuntimeError('no\\nway')"), "RuntimeError: no way"),
        (
            (STEP, "return x[:, :5]"),
            "ValueError: its layer gives ((2, 5, 64), 'float32') for ((2, 16, 64), 'float32'): expected the same",
        ),
        (
            (STEP, "return x, x"),
            "ValueError: its layer gives tuple for ((2, 16, 64), 'float32'): expected the same shape and dtype",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_before_any_trial(file, replaced, message):
    path = file(replaced)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        planned(path)
    assert str(raised.value).startswith(("--attention token_mlp.py: ", f"--attention {path}: "))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit.py", "vit is a variant that is here already; rename the file"),
        ("vit_16.py", "vit-16 is a variant of the suite rivals; rename the file"),
        ("token mlp.py", "expected a .py file whose name is of letters, digits and single _ or -, at most 50"),
        ("token.txt", "expected a .py file whose name is of letters, digits and single _ or -, at most 50"),
    ],
)
def test_a_name_that_is_taken_or_none_is_an_error(file, name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        planned(file(name=name))


def test_what_cannot_be_read_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    (tmp_path / "large.py").write_bytes(b"#" * (2**20 + 1))
    (tmp_path / "folder.py").mkdir()
    for name, message in (
        ("none.py", "No such file"),
        ("pipe.py", "is no plain file"),
        ("endless.py", "is no plain"),
        ("folder.py", "directory"),
    ):
        with pytest.raises(InputError, match=f"{message}.*; expected a file that defines an Attention and its"):
            described([tmp_path / name], "tensorflow", {})
    (tmp_path / "binary.py").write_text(LINEAR)
    with pytest.raises(InputError, match="another file is binary, too; rename one"):
        described([tmp_path / "binary.py"] * 2, "tensorflow", {})


def test_what_only_a_training_meets_fails_its_own_trainings_alone(file, tmp_path):
    """The third process that runs the file is a trial's: the first two look at it before the run."""
    mark = f"ran = open({str(tmp_path / 'ran')!r}, 'a+')\nran.write('.')\nran.flush()\nTIMES = ran.seek(0, 1)\n"
    path = file(
        (DOCUMENTED, mark + DOCUMENTED), (STEP, f"if TIMES > 2: raise RuntimeError('the third time')\n        {STEP}")
    )
    found = outcomes(planned(path, seeds=1, epochs=1, settings=SMALL).trials, tmp_path)
    assert {outcome.variant: type(outcome) is Failure for outcome in found} == {"vit-16": False, "token-mlp": True}
    (failed,) = (outcome for outcome in found if outcome.variant == "token-mlp")
    assert re.fullmatch(r"token_mlp\.py, line \d+: RuntimeError: the third time", failed.reason)
    assert 'File "token_mlp.py", line ' in failed.log_tail
    assert "\x1b" not in failed.log_tail
    assert os.sep + "token_mlp.py" not in failed.log_tail


def test_a_size_that_no_trial_would_fit_is_not_built_before_the_run(file):
    """Of 10^6 patches the documented layer has 10^8 weights and more: they are its trials' to skip."""
    (attention,) = described([file()], "tensorflow", {}).values()
    trial = of(planned(file(), suite="scaling", variants=("vit",)))[0]
    large = trial.model_copy(update={"attention": attention, "patches": 10**6, "dim": 10**5, "scope": "core"})
    plan = costed(Plan("quick", {}, (large,)), "tensorflow")
    assert plan.trials[0].attention.cost(10**5, 10**6).parameters > 10**8
    assert plan.notes == ()


def test_what_a_file_sets_for_all_of_keras_is_the_trials_again(file):
    path = file(("class TokenMlp(", "keras.config.set_dtype_policy('float64')\n\n\nclass TokenMlp("))
    assert planned(path).notes == (), "its layer computes in the trial's precision"
