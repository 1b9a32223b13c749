"""What is written down is of no machine: its places are named as the help names them, or not at all."""

import pytest

from results.places import command, without_places


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("--all --out results/runs/mine", "--all --out results/runs/mine"),
        ("--out /home/me/mine --seeds 3", "--out DIR --seeds 3"),
        ("--out /srv/project/results/runs/mine", "--out DIR"),
        ("--out ../mine", "--out DIR"),
        ("--data-dir=/home/me/cifar --out=/tmp/x", "--data-dir=DIR --out=DIR"),
        ("--data-dir ~/cifar", "--data-dir DIR"),
        ("main --record ../history.jsonl --worktree /tmp/w", "main --record FILE --worktree DIR"),
        ("--ray-address 10.0.0.1:6379", "--ray-address HOST:PORT"),
        ("--set core.patches=256 --suite scaling", "--set core.patches=256 --suite scaling"),
        ("--data-dir", "--data-dir"),
    ],
)
def test_a_command_is_as_typed_but_for_places_outside_the_repository(typed, shown, tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert command("a.b", typed.split(), tmp_path / "project") == f"python -m a.b {shown}"


def test_a_shells_command_keeps_all_but_the_folders_above_its_files(tmp_path):
    typed = ["main", "--command", "/home/me/venv/bin/python3 bench.py", "--setup=pip install -e ."]
    shown = command("benchmarks.regress", typed, tmp_path)
    assert shown == "python -m benchmarks.regress main --command '…/python3 bench.py' '--setup=pip install -e .'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('File "/srv/project/benchmarks/x.py", line 3', 'File "./benchmarks/x.py", line 3'),
        ('File "/home/me/venv/lib/python3.11/site-packages/keras/src/a.py"', 'File "keras/src/a.py"'),
        ('File "/home/me/my files/a.py"', 'File "~/my files/a.py"'),
        ('File "/usr/lib/python3.11/threading.py", line 7', 'File "…/threading.py", line 7'),
        ("data folder /data/cifar does not exist", "data folder DIR does not exist"),
        ("data folder /data/cifar100/x", "data folder …/x"),
        ("(/tmp/a/b.npz: no space)", "(…/b.npz: no space)"),
        ("jit(f)/jit(main)/dot and/or 3/4 of a/b/MatMul", "jit(f)/jit(main)/dot and/or 3/4 of a/b/MatMul"),
        ("see https://keras.io/api/ops", "see https://keras.io/api/ops"),
        ("No such file or directory: '/srv/my data/a b/z.png'", "No such file or directory: '…/z.png'"),
        ('File "/opt/my env/lib/site-packages/keras/a.py", line 3', 'File "keras/a.py", line 3'),
        ("/tmp/x and /opt/lib/site-packages/keras/a.py", "…/x and keras/a.py"),
        ("'a'/'b' of '/x y/z'", "'a'/'b' of '…/z'"),
    ],
)
def test_a_message_keeps_what_is_the_projects_and_names_no_other_folder(text, shown):
    assert without_places(text, {"/srv/project": ".", "/home/me": "~", "/data/cifar": "DIR"}) == shown
