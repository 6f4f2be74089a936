"""Output units on hand-written texts, and stage 4 on small folds."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from data_fixtures import cut_of
from lhotse import CutSet

from jointasr.data import manifest
from jointasr.lm import arpa
from jointasr.prep import folds
from jointasr.text import lang
from jointasr.text.lang import Units, map_head
from jointasr.text.normalizer import LETTERS
from jointasr.utils.errors import DataError

TEXTS = [
    "I DON'T KNOW WHAT YOU WANT FROM ME",
    "YOU KNOW WHAT I WANT",
    "WHAT A WONDERFUL DAY IT IS TODAY",
    "",
    "DON'T TELL ME WHAT TO DO",
    "EVERYTHING IS GOING TO BE FINE TOMORROW MORNING",
    "I WILL NEVER UNDERSTAND THE OTHER PEOPLE HERE",
    "SOMETHING WONDERFUL HAPPENED THIS MORNING",
    "NO ONE UNDERSTANDS EVERYTHING ABOUT OTHER PEOPLE",
]


@pytest.fixture(params=["char", "bpe", "unigram"])
def units(request: pytest.FixtureRequest) -> Units:
    kind = request.param
    return Units.char() if kind == "char" else Units.train_pieces(TEXTS, kind, 40)


def test_characters_are_the_fixed_29() -> None:
    units = Units.char()
    assert units.size == 29
    assert units.symbols[:4] == ("<blk>", "|", "'", "A")
    assert units.encode("IT'S A") == [11, 22, 2, 21, 1, 3]
    assert units.decode([11, 22, 2, 21, 1, 3]) == "IT'S A"


def test_text_survives_encoding(units: Units) -> None:
    for text in [*TEXTS, "QUIZ VEX JUMPY", "A"]:
        ids = units.encode(text)
        assert units.decode(ids) == text
        assert all(0 < index < units.size for index in ids)


def test_spaces_at_the_ends_or_doubled_do_not_matter(units: Units) -> None:
    assert units.encode("  YOU  KNOW ") == units.encode("YOU KNOW")
    space = units.encode("A B")[1:-1]
    if units.kind == "char":
        assert units.decode([*space, *units.encode("A"), *space, *space]) == "A"


@pytest.mark.parametrize("text", ["Ü", "a", "A-B", "A|B", "<blk>", "A\tB", "7"])
def test_a_character_outside_the_list_is_named(units: Units, text: str) -> None:
    with pytest.raises(DataError, match="A-Z, apostrophe"):
        units.encode(text)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_have_the_size_asked_for(kind: str) -> None:
    units = Units.train_pieces(TEXTS, kind, 45)
    assert units.size == 46  # and the blank
    assert len(set(units.symbols)) == 46
    assert "<unk>" not in units.symbols
    assert len(units.encode(TEXTS[0])) < len(TEXTS[0])
    again = Units.train_pieces(TEXTS, kind, 45)
    assert again.digest == units.digest
    assert Units.train_pieces(TEXTS[1:], kind, 45).digest != units.digest


def test_too_little_text_for_so_many_pieces() -> None:
    for kind in ("bpe", "unigram"):
        with pytest.raises(DataError, match="--units-size"):
            Units.train_pieces(TEXTS, kind, 4000)
        with pytest.raises(DataError, match="--units-size"):
            Units.train_pieces(TEXTS, kind, 5)  # fewer than there are characters
        with pytest.raises(DataError, match="all transcripts are empty"):
            Units.train_pieces([""], kind, 40)


def test_lang_folder_round_trip(units: Units, tmp_path: Path) -> None:
    units.save(tmp_path)
    again = Units.load(tmp_path)
    assert (again.kind, again.symbols, again.digest) == (units.kind, units.symbols, units.digest)
    assert again.encode(TEXTS[0]) == units.encode(TEXTS[0])
    lines = (tmp_path / "tokens.txt").read_text().splitlines()
    assert lines[0] == "<blk> 0"
    assert [int(line.split()[1]) for line in lines] == list(range(units.size))
    about = json.loads((tmp_path / "units.json").read_text())
    values = {"type": units.kind, "size": units.size, "letters": LETTERS, "digest": units.digest}
    assert about == values
    assert (tmp_path / "bpe.model").exists() == (units.kind != "char")


def test_units_travel_to_worker_processes(units: Units) -> None:
    assert pickle.loads(pickle.dumps(units)).encode(TEXTS[0]) == units.encode(TEXTS[0])


def test_k2_reads_the_symbol_table(units: Units, tmp_path: Path) -> None:
    k2 = pytest.importorskip("k2")
    units.save(tmp_path)
    table = k2.SymbolTable.from_file(str(tmp_path / "tokens.txt"))
    assert [table[index] for index in range(units.size)] == list(units.symbols)


def test_damaged_lang_folder(tmp_path: Path) -> None:
    Units.char().save(tmp_path)
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(tokens.read_text().replace("A 3\nB 4", "B 3\nA 4"))
    with pytest.raises(DataError, match=r"units\.json"):
        Units.load(tmp_path)
    tokens.write_text(tokens.read_text().replace("A 4", "A 5"))
    with pytest.raises(DataError, match=r"tokens\.txt:5"):
        Units.load(tmp_path)


def test_labels(tmp_path: Path) -> None:
    lang.write_labels(tmp_path, ["ang", "hap", "neu", "sad"])
    assert (tmp_path / "labels.txt").read_text() == "ang\nhap\nneu\nsad\n"
    assert lang.read_labels(tmp_path) == ["ang", "hap", "neu", "sad"]
    for bad in ([], ["ang", "ang"], ["ang", ""], ["a b"]):
        with pytest.raises(DataError, match="distinct"):
            lang.write_labels(tmp_path, bad)


def vocabulary(lower: bool) -> dict[str, int]:
    """Symbols in the order of the wav2vec2 checkpoints on the hub."""
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    return {s.lower() if lower else s: row for row, s in enumerate(symbols)}


@pytest.mark.parametrize("lower", [False, True])
def test_head_is_mapped_by_symbol(lower: bool) -> None:
    rows = map_head(vocabulary(lower), Units.char())
    assert len(rows) == 29
    assert rows[:6] == [0, 4, 27, 7, 24, 19]  # blank, space, ', A, B, C
    assert rows[-1] == 31  # Z


def test_exact_symbol_wins_over_the_other_case() -> None:
    both = {**vocabulary(lower=False), "a": 40, "b": 41}
    assert map_head(both, Units.char())[3:5] == [7, 24]


@pytest.mark.parametrize(("gone", "name"), [("<pad>", "blank"), ("|", "'|'"), ("Q", "'Q'")])
def test_missing_symbol_is_named_with_its_file(gone: str, name: str) -> None:
    known = vocabulary(lower=False)
    del known[gone]
    with pytest.raises(DataError, match=r"model/vocab\.json.*" + name.replace("|", r"\|")):
        map_head(known, Units.char(), "model/vocab.json")


def make_folds(data: Path) -> None:
    selected = data / "local" / "selected"
    texts = {f"A-{n}": text for n, text in enumerate(TEXTS)}
    texts |= {"B-0": "ZEBRAS ZIGZAG", "B-1": "ZOO ZOO ZOO"}
    cuts = [cut_of(Path(f"{name}.wav"), name, 16000, text=text) for name, text in texts.items()]
    manifest.write(CutSet.from_cuts(cuts), selected)
    for fold, ids in (("A", "B-0\nB-1\n"), ("B", "".join(f"A-{n}\n" for n in range(len(TEXTS))))):
        folder = data / "folds" / "speaker" / fold
        folder.mkdir(parents=True)
        (folder / "train.list").write_text(ids)
    made = {"folds": {"A": {}, "B": {}}}
    (data / "folds" / "speaker" / folds.FILE).write_text(json.dumps(made))


def stage4(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jointasr.bin.prepare_lang", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_stage_learns_pieces_from_training_text_only(tmp_path: Path) -> None:
    make_folds(tmp_path)
    result = stage4(tmp_path, "--units-type", "bpe", "--units-size", "32")
    assert result.returncode == 0, result.stderr
    a, b = (Units.load(tmp_path / "folds" / "speaker" / f / "lang_bpe32") for f in "AB")
    assert any("ZO" in symbol for symbol in a.symbols)
    assert not any("Z" in symbol and len(symbol) > 1 for symbol in b.symbols)
    assert b.decode(b.encode("ZEBRAS ZIGZAG")) == "ZEBRAS ZIGZAG"
    assert lang.read_labels(tmp_path / "folds/speaker/A/lang_bpe32") == ["ang", "hap", "neu", "sad"]
    again = stage4(tmp_path, "--units-type", "bpe", "--units-size", "32")
    assert again.stdout.count("up to date") == 2, again.stdout + again.stderr


def test_stage_errors_name_the_culprit(tmp_path: Path) -> None:
    assert "local/selected/text does not exist: run stage 2" in stage4(tmp_path).stderr
    make_folds(tmp_path)
    assert "fold 9X does not exist" in stage4(tmp_path, "--folds", "A 9X").stderr
    text = tmp_path / "local" / "selected" / "text"
    text.write_text(text.read_text().replace("YOU KNOW", "YOU KNÖW"))
    result = stage4(tmp_path)
    assert result.returncode == 1
    assert "A-1" in result.stderr and "'Ö'" in result.stderr and "Traceback" not in result.stderr
    (tmp_path / "ids").write_text("B-0\nB-7\n")
    assert folds.select_transcripts({"B-0": "A"}, tmp_path / "ids") == [
        "A"
    ]  # B-7 has no transcript


@pytest.mark.parametrize("program", ["prepare_lang", "prepare_lm"])
def test_edited_transcripts_are_refused(program: str, tmp_path: Path) -> None:
    """The acoustic model is trained on the cuts, which an edited table does not change."""
    make_folds(tmp_path)
    for fold in "AB":
        (tmp_path / "folds/speaker" / fold / "dev.list").write_text("A-0\n")
    text = tmp_path / "local/selected/text"
    text.write_text(text.read_text().replace("ZEBRAS", "HORSES"))
    command = [sys.executable, "-m", f"jointasr.bin.{program}", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "text: B-0: 'HORSES ZIGZAG', but 'ZEBRAS ZIGZAG' in cuts.jsonl.gz" in result.stderr
    assert not list(tmp_path.glob("folds/speaker/*/l*/.done"))


@pytest.mark.parametrize("program", ["prepare_lang", "prepare_lm"])
def test_an_up_to_date_run_imports_no_lhotse(program: str, tmp_path: Path) -> None:
    make_folds(tmp_path)
    for fold in "AB":
        (tmp_path / "folds/speaker" / fold / "dev.list").write_text("A-0\n")
    code = (
        f"import runpy, sys\nsys.argv = ['{program}', {str(tmp_path)!r}]\n"
        f"runpy.run_module('jointasr.bin.{program}', run_name='__main__')\n"
        "print('lhotse imported:', 'lhotse' in sys.modules)\n"
    )
    for imported in (True, False):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert f"lhotse imported: {imported}" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
def test_words_of_units_are_those_of_the_text(kind: str) -> None:
    texts = ["IT'S A LONG ROAD", "A", "", "LONG LONG ROAD'S"]
    units = Units.char() if kind == "char" else Units.train_pieces(texts * 9, kind, 30)
    for text in texts:
        ids = units.encode(text)
        words = units.words(ids)
        assert [units.decode([ids[i] for i in word]) for word in words] == text.split()
        assert sorted(position for word in words for position in word) == [
            position
            for position, index in enumerate(ids)
            if units.symbols[index] not in ("|", "\u2581")
        ]


def test_stage_makes_language_models_of_training_text(tmp_path: Path) -> None:
    """One per order in the conf, with additional text only if the conf names it."""
    make_folds(tmp_path)
    for fold, ids in (("A", "A-0\n"), ("B", "B-0\n")):
        (tmp_path / "folds/speaker" / fold / "dev.list").write_text(ids)
    more = tmp_path / "more.txt"
    more.write_text("QUITE OTHER WORDS\n")
    conf = tmp_path / "decode.yaml"
    conf.write_text(f"lm: {{order: 2, rescore_order: 4, text: [{more}]}}\n")
    command = [sys.executable, "-m", "jointasr.bin.prepare_lm", str(tmp_path)]
    for options, expected, orders in (
        ([], ["ZEBRAS", "ZIGZAG", "ZOO"], (3, 4)),
        (["--conf", str(conf)], ["OTHER", "QUITE", "WORDS", "ZEBRAS", "ZIGZAG", "ZOO"], (2,)),
    ):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        for order in orders:
            model = arpa.read(tmp_path / f"folds/speaker/A/lm_{order}gram/lm.arpa")
            assert model.order == order and model.words == expected
        assert "out of vocabulary" in done.stdout
    assert done.returncode == 1  # the model of order 4 that was there is of other text
    assert "lm_4gram was made with other settings: the input" in done.stderr
    conf.write_text("lm: {text: [nowhere.txt]}\n")
    done = subprocess.run(
        [*command, "--conf", str(conf)], capture_output=True, text=True, check=False
    )
    assert "lm.text: nowhere.txt does not exist" in done.stderr
