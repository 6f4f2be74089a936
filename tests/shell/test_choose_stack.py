"""utils/choose_stack.py and setup_env.sh: which stack, and why."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import choose_stack as cs
import pytest
import stack_facts
from shell import executable, nvidia_smi, run

from jointasr.utils.project import ROOT

BOTH = {"3.10": "/p/python3.10", "3.11": "/p/python3.11"}
H100 = stack_facts.Gpu("NVIDIA H100 80GB HBM3", (9, 0), "580.65.06")
A100 = stack_facts.Gpu("NVIDIA A100-SXM4-40GB", (8, 0), "580.65.06")


def facts(**changes: Any) -> Any:
    """A Linux machine with two Pythons, no GPU, and access to k2's index."""
    base = stack_facts.Facts("linux-x86_64", BOTH, [], "INDEX", ["3.10", "3.11"], "")
    return base._replace(**changes)


NO_INDEX = {"wheels": [], "index_problem": "no answer"}


@pytest.mark.parametrize(
    ("changes", "stack", "python", "rejected"),
    [
        ({}, "k2", "3.11", {}),
        ({"wheels": ["3.10"]}, "k2", "3.10", {}),
        ({"gpus": [H100]}, "k2", "3.11", {}),
        (NO_INDEX, "k2-pypi", "3.10", {"k2": "INDEX cannot be used: no answer"}),
        (NO_INDEX | {"gpus": [A100]}, "k2-pypi", "3.10", {"k2": "no answer"}),
        (
            NO_INDEX | {"gpus": [H100]},
            "torch",
            "3.11",
            {"k2": "no answer", "k2-pypi": "H100 80GB HBM3 (Hopper, compute capability 9.0)"},
        ),
        (
            NO_INDEX | {"gpus": [A100, stack_facts.Gpu("NVIDIA B200", (10, 0), "580.1")]},
            "torch",
            "3.11",
            {"k2-pypi": "(Blackwell, compute capability 10.0) is newer than torch 1.13.1 supports"},
        ),
        (
            NO_INDEX | {"gpus": [stack_facts.Gpu("RTX 4090", (8, 9), "550.1")]},
            "k2-pypi",
            "3.10",
            {},
        ),
        (
            {"gpus": [A100._replace(driver="550.54.15")]},
            "k2-pypi",
            "3.10",
            {"k2": "needs NVIDIA driver 580 or newer and this one is 550.54.15"},
        ),
        (
            {"gpus": [stack_facts.Gpu("Tesla V100", (7, 0), "580.1")]},
            "k2-pypi",
            "3.10",
            {"k2": "older than torch 2.11.0 with CUDA 13.0 supports"},
        ),
        (
            {"gpus": [stack_facts.Gpu("GTX 1080", None, "470.1")]},
            "k2-pypi",
            "3.10",
            {"k2": "driver 580"},
        ),
        (
            NO_INDEX | {"pythons": {"3.12": "/p/python3.12"}},
            "torch",
            "3.12",
            {"k2-pypi": "Python 3.10 was not found; install one"},
        ),
        (
            {"pythons": {"3.13": "/p/python3.13"}},
            "torch",
            "3.13",
            {"k2": "no wheel of the locked k2 for Python 3.13"},
        ),
        ({"platform": "darwin-arm64"}, "torch", "3.11", {"k2": "this is darwin-arm64"}),
    ],
)
def test_choice(changes: dict[str, Any], stack: str, python: str, rejected: dict[str, str]) -> None:
    choice = cs.choose(facts(**changes))
    assert (choice.stack, choice.python) == (stack, f"/p/python{python}")
    reasons = dict(choice.rejected)
    assert set(reasons) == set(cs.STACKS[: cs.STACKS.index(stack)])
    for name, reason in rejected.items():
        assert reason in reasons[name]


@pytest.mark.parametrize(("driver", "family"), [("579.9", "cu129"), ("550.1", "cu128")])
def test_wheels_for_older_drivers(driver: str, family: str) -> None:
    choice = cs.choose(facts(**NO_INDEX, gpus=[H100._replace(driver=driver)]))
    assert choice.stack == "torch"
    assert "will run on the CPU only" in choice.warnings[0] and family in choice.warnings[0]


def test_requested_stack() -> None:
    choice = cs.choose(facts(gpus=[H100]), "k2-pypi")
    assert choice.stack == "k2-pypi" and "CPU only" in choice.warnings[0]
    with pytest.raises(ValueError, match=r"stack k2 cannot be installed here: .*no answer"):
        cs.choose(facts(**NO_INDEX), "k2")
    with pytest.raises(
        ValueError, match=r"no stack can be installed here.*\n.*k2: .*3\.10 or 3\.11"
    ):
        cs.choose(facts(pythons={}))


def test_index_page_and_folder(tmp_path: Path) -> None:
    name = f"k2-{stack_facts.locked_k2()}-cp311-cp311-manylinux_2_28_x86_64.whl"
    folder, page = tmp_path / "wheels", tmp_path / "cuda.html"
    folder.mkdir()
    assert stack_facts.probe_index(str(folder))[1].startswith("it does not list k2 ")
    (folder / name).touch()
    page.write_text(f'<a href="x/{name.replace("+", "%2B")}">k2</a>')
    for index in (str(folder), f"file://{folder}", str(page), f"file://{page}"):
        assert stack_facts.probe_index(index) == (["3.11"], "")
    assert stack_facts.probe_index(str(tmp_path / "none.html"))[1]
    assert stack_facts.probe_index("http://127.0.0.1:9/cuda.html")[1]


# ---- the script, on a simulated machine ----------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with common tools and one Python; the home folder is empty."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("bash", "sh", "cat", "sed", "dirname", "grep", "date", "env", "readlink"):
        file = shutil.which(tool)
        assert file
        (path / tool).symlink_to(file)
    real = os.path.realpath(sys.executable)
    executable(path / "python3", f'#!/bin/sh\nexec {real} "$@"\n')
    return path


def dry_run(machine: Path, *options: str, index: Path | str) -> Any:
    env = {
        "PATH": str(machine),
        "HOME": str(machine.parent / "home"),
        "PYENV_ROOT": str(machine.parent / "pyenv"),
        "K2_INDEX": str(index),
    }
    return run(ROOT / "utils/setup_env.sh", "--dry-run", "true", *options, env=env)


def fake_python(machine: Path, version: str) -> str:
    """Write a program that reports to be a CPython of that version."""
    text = f'#!/bin/sh\nprintf "cpython\\n{version}\\n/fake/{version}\\n"\n'
    return str(executable(machine / f"python{version}", text))


def wheels(folder: Path, *tags: str) -> Path:
    folder.mkdir()
    for tag in tags:
        (folder / f"k2-{stack_facts.locked_k2()}-{tag}-{tag}-manylinux_2_28_x86_64.whl").touch()
    return folder


def test_script_takes_k2_from_a_local_index(machine: Path) -> None:
    fake_python(machine, "3.12")
    done = dry_run(machine, index=wheels(machine.parent / "w", "cp312"))
    assert done.returncode == 0, done.stderr
    assert "setup_env: stack k2: Python 3.12 (/fake/3.12), no GPU" in done.stderr


def test_script_without_index(machine: Path) -> None:
    fake_python(machine, "3.10")
    done = dry_run(machine, index="/no/such/index")
    assert "stack k2-pypi: Python 3.10 (/fake/3.10)" in done.stderr
    assert "rejected k2: k2's index /no/such/index cannot be used" in done.stderr


def test_script_without_python_3_10(machine: Path) -> None:
    executable(machine / "python3.10", "#!/bin/sh\necho 'pyenv: not here' >&2; exit 127\n")
    # python3 runs the script but is no candidate, whatever version runs the tests
    refuse = 'case "$*" in *sys.implementation*) exit 1;; esac'
    real = os.path.realpath(sys.executable)
    executable(machine / "python3", f'#!/bin/sh\n{refuse}\nexec {real} "$@"\n')
    fake_python(machine, "3.13")
    done = dry_run(machine, index="/no/such/index")
    assert "rejected k2-pypi: Python 3.10 was not found; install one" in done.stderr
    assert "setup_env: stack torch: Python 3.1" in done.stderr
    refused = dry_run(machine, "--stack", "k2-pypi", index="/no/such/index")
    assert refused.returncode == 1
    assert (
        "error: stack k2-pypi cannot be installed here: Python 3.10 was not found" in refused.stderr
    )


def test_script_with_a_hopper_gpu(machine: Path) -> None:
    fake_python(machine, "3.10")
    fake_python(machine, "3.11")
    nvidia_smi(machine, "NVIDIA H200, 580.65.06, 9.0")
    done = dry_run(machine, index="/no/such/index")
    assert "rejected k2-pypi: NVIDIA H200 (Hopper, compute capability 9.0) is newer than" in (
        done.stderr
    )
    assert "setup_env: stack torch: " in done.stderr


def test_script_with_an_old_nvidia_smi(machine: Path) -> None:
    fake_python(machine, "3.10")
    nvidia_smi(machine, "Tesla V100, 470.57, 7.0", old=True)
    done = dry_run(machine, index="/no/such/index")
    assert "stack k2-pypi: Python 3.10 (/fake/3.10), Tesla V100;" in done.stderr


def test_script_with_a_broken_driver(machine: Path) -> None:
    fake_python(machine, "3.10")
    broken = "#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n"
    executable(machine / "nvidia-smi", broken)
    done = dry_run(machine, index="/no/such/index")
    assert "warning: nvidia-smi fails, so no GPU is assumed: Driver/library" in done.stderr


def test_script_refuses_an_unknown_stack(machine: Path) -> None:
    done = dry_run(machine, "--stack", "k3", index="/no/such/index")
    assert done.returncode != 0 and "k3" in done.stderr
