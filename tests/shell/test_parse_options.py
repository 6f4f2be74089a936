"""utils/parse_options.sh, log.sh and best_wer.sh: command lines and the resulting values."""

from pathlib import Path

import pytest
from shell import executable, run

from jointasr.utils.project import ROOT

SCRIPT = f"""#!/usr/bin/env bash
set -euo pipefail
nj=4
feats_dir=
quick=false
help_message="usage: x.sh
nj=not an option here, but text"
inner() {{ local hidden=1; }}
. {ROOT}/utils/parse_options.sh
late=1
printf '%s|' "$nj" "$feats_dir" "$quick" "$late" "$@"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return executable(tmp_path / "x.sh", SCRIPT)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ([], "4||false|1|"),
        (["--nj", "8", "--feats-dir", "a b", "data"], "8|a b|false|1|data|"),
        (["--nj=8", "--feats-dir=x=y", "--quick=true"], "8|x=y|true|1|"),
        (["--feats_dir", "", "d", "-1"], "4||false|1|d|-1|"),
        (["--nj", "-3"], "-3||false|1|"),
        (["--feats-dir=--odd"], "4|--odd|false|1|"),
        (["--feats-dir", "$(touch hacked) `id` ; rm x"], "4|$(touch hacked) `id` ; rm x|false|1|"),
        (["--nj", "a[$(touch hacked)]"], "a[$(touch hacked)]||false|1|"),
        (["--nj", "2", "--", "--nj", "3"], "2||false|1|--nj|3|"),
    ],
)
def test_options(script: Path, words: list[str], output: str) -> None:
    done = run(script, *words, cwd=script.parent)
    assert done.stdout == output
    assert done.stderr == "" and done.returncode == 0
    assert not (script.parent / "hacked").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nk", "3"], "unknown option --nk; did you mean --nj?"),
        (["--feat-dir=x"], "did you mean --feats-dir?"),
        (["--xyzzy", "3"], "(options: --nj --feats-dir --quick)"),
        (["--nj"], "option --nj needs a value"),
        (["--nj", "--quick", "true"], "option --nj needs a value"),
        (["--quick", "yes"], "option --quick is true or false, not 'yes'"),
        (["data", "--nj", "3"], "--nj comes after the argument 'data'"),
        (["--path", "x"], "unknown option --path"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["--late", "2"], "unknown option --late"),
        (["--hidden", "2"], "unknown option --hidden"),
        (["--from-outside", "2"], "unknown option --from-outside"),
        (["--nj[0]", "2"], "unknown option --nj[0]"),
        (["--help-message", "2"], "unknown option --help-message"),
        (["--=2"], "unknown option"),
    ],
)
def test_mistakes(script: Path, words: list[str], message: str) -> None:
    done = run(script, *words, env={"from_outside": "1"})
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: x.sh: ") and message in done.stderr


def test_environment_variables_are_not_options(script: Path) -> None:
    done = run(script, "--nj", "5", env={"nj": "77", "feats_dir": "leak"})
    assert done.stdout == "5||false|1|"


def test_help(script: Path) -> None:
    text = SCRIPT.replace("nj=4\n", "nj=4  # N: jobs\n      # in parallel\n").replace(
        "quick=false", 'quick=false  # skip checks\nfolds="a b"  # "ID ...": folds: all of them'
    )
    done = run(executable(script, text), "--nj", "5", "--help")
    assert done.returncode == 0 and done.stdout.splitlines() == [
        "usage: x.sh",
        "nj=not an option here, but text",
        "Options:",
        "  --nj N              jobs",
        "                      in parallel (default: 4)",
        "  --feats-dir VALUE   ",
        "  --quick true|false  skip checks (default: false)",
        '  --folds "ID ..."    folds: all of them (default: a b)',
    ]


def test_after_a_change_of_folder(script: Path) -> None:
    text = SCRIPT.replace("set -euo pipefail", "set -euo pipefail; cd /")
    executable(script, text)
    assert run("./x.sh", "--nj", "6", cwd=script.parent).stdout == "6||false|1|"


LOGGED = f"""#!/usr/bin/env bash
set -euo pipefail
. {ROOT}/utils/log.sh
begin_stage 3 folds
helper() {{ "$1"; }}
helper "$1"
[ "$1" = true ] || echo unreachable
"""


def test_failure_names_file_line_stage_and_next_step(tmp_path: Path) -> None:
    script = executable(tmp_path / "y.sh", LOGGED)
    done = run(script, "false")
    assert done.returncode == 1 and "unreachable" not in done.stdout
    assert done.stdout.splitlines()[-1] == "FAILED at stage 3"
    assert f"error: {script}: line 5 (stage 3): exit code 1" in done.stderr
    assert done.stderr.count("error:") == 1 and "--stage 3" in done.stderr


def test_success_ends_with_finished(tmp_path: Path) -> None:
    done = run(executable(tmp_path / "y.sh", LOGGED), "true")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "finished"
    assert done.stderr == ""


def test_best_wer(tmp_path: Path) -> None:
    lines = {"a": "%WER 20.10 [ 1 / 5 ]", "b": "%WER 9.5 [ 1 ]", "c": "%WER 100.00"}
    for name, line in lines.items():
        (tmp_path / name).write_text(f"%SER 1.0\n{line}\n")
    best = run(ROOT / "utils/best_wer.sh", "a", "b", "c", cwd=tmp_path)
    assert best.stdout == "b:%WER 9.5 [ 1 ]\n"
    (tmp_path / "none").write_text("x\n")
    empty = run(ROOT / "utils/best_wer.sh", "none", cwd=tmp_path)
    assert empty.returncode == 1 and "no line with %WER" in empty.stderr
