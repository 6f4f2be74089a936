"""A finished step is skipped; a changed option, input or code stops the run and is named."""

from pathlib import Path

import pytest

from jointasr.utils import done
from jointasr.utils.errors import DataError

CODE = "jointasr.bin.conf"


def make(out: Path, options: dict[str, object], inputs: list[Path]) -> bool:
    with done.step(out, CODE, options, inputs) as todo:
        if todo:
            out.mkdir(exist_ok=True)
    return todo


def test_second_run_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(tmp_path / "a", {"x": 1}, [])
    assert not make(tmp_path / "a", {"x": 1}, [])
    assert "up to date" in capsys.readouterr().out


def test_failed_step_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), done.step(tmp_path / "a", CODE, {}):
        raise RuntimeError("killed")
    assert not (tmp_path / "a" / done.NAME).exists()


def test_changed_option_is_named(tmp_path: Path) -> None:
    make(tmp_path / "a", {"x": 1, "y": 2}, [])
    with pytest.raises(DataError, match=r"option x \(was 1, now 3\) changed"):
        make(tmp_path / "a", {"x": 3, "y": 2}, [])


def test_change_upstream_reaches_downstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.txt"
    source.write_text("one")
    make(tmp_path / "a", {}, [source])
    make(tmp_path / "b", {}, [tmp_path / "a"])
    source.write_text("two")
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "force")
    assert make(tmp_path / "a", {}, [source])
    monkeypatch.delenv("JOINTASR_ON_CHANGE")
    with pytest.raises(DataError, match=r"the input .*/a changed"):
        make(tmp_path / "b", {}, [tmp_path / "a"])


def test_unfinished_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="not finished"):
        make(tmp_path / "b", {}, [tmp_path / "a"])


def test_code_change_stops_or_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a", {}, [])
    monkeypatch.setattr(done, "_cached_code_digest", lambda code: "other")
    with pytest.raises(DataError, match="the code changed"):
        make(tmp_path / "a", {}, [])
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "accept-code")
    assert not make(tmp_path / "a", {}, [])
    assert "accepted_code" in (tmp_path / "a" / done.NAME).read_text()
