"""Reading of phoneme times, and the script that writes them for GRID clips."""

import importlib
import json

import pytest

from pcavs.errors import InputError
from pcavs.evaluate.phonemes import bilabials, open_vowels, read_phonemes


def test_times_of_lips_are_picked(tmp_path):
    path = tmp_path / "clip.json"
    rows = [["", 0, 0.3], ["ˈp", 0.3, 0.4], ["ɑː", 0.4, 0.55], ["t", 0.55, 0.6], ["m̩", 0.6, 0.7], ["f", 0.7, 0.8]]
    path.write_text(json.dumps({"voice": "x", "phonemes": rows}))
    phonemes = read_phonemes(path)
    assert len(phonemes) == 6
    assert bilabials(phonemes) == [(0.3, 0.4), (0.6, 0.7)]
    assert open_vowels(phonemes) == [(0.4, 0.55)]


def test_clips_without_times_have_none(tmp_path):
    (tmp_path / "other.json").write_text('{"frames": 3}')
    (tmp_path / "list.json").write_text("[1]")
    assert read_phonemes(tmp_path / "missing.json") == ()
    assert read_phonemes(tmp_path / "other.json") == ()
    assert read_phonemes(tmp_path / "list.json") == ()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"phonemes": 3}',
        '{"phonemes": [["b", 1]]}',
        '{"phonemes": [["b", 2, 1]]}',
        '{"phonemes": [["b", 0, NaN]]}',
        '{"phonemes": [["b", 0, 1e999]]}',
        '{"phonemes": [["b", 0, "x"]]}',
        '{"phonemes": [[7, 0, 1]]}',
    ],
)
def test_unusable_times_are_refused(tmp_path, text):
    path = tmp_path / "clip.json"
    path.write_text(text)
    with pytest.raises(InputError, match="unusable phonemes"):
        read_phonemes(path)


@pytest.fixture
def aligner(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "scripts"))
    return importlib.import_module("align_grid")


def test_words_of_grid_come_from_its_table_or_the_sentence_code(aligner, tmp_path):
    (tmp_path / "s1_bbaf2n.align").write_text("0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n")
    assert aligner.spoken_words("s1_bbaf2n", tmp_path) == "bin blue"
    assert aligner.spoken_words("multi_s4_lwbsza", tmp_path) == "lay white by s zero again"
    assert aligner.spoken_words("uD_edff7a1c", None) == ""
