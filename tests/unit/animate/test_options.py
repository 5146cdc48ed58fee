"""Settings of a film: the same for the command line and Python, refused with one line."""

import dataclasses
import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from pcavs.animate.film import Film
from pcavs.animate.inputs import input_files
from pcavs.animate.options import AnimateOptions, FilmOptions, face_film
from pcavs.animate.talker import Talker
from pcavs.errors import InputError, unknown_setting


def options(**changes):
    return FilmOptions(identity=Path("a"), audio=Path("b"), **changes)


@pytest.mark.parametrize("size", [None, 32, 256, 2048])
def test_possible_sizes_are_accepted(size):
    options(size=size)


@pytest.mark.parametrize("size", [-2, 0, 30, 255, 2050])
def test_other_sizes_are_refused(size):
    with pytest.raises(InputError, match=f"a size of {size} cannot be used; give an even number from 32 to 2048"):
        options(size=size)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="a seed of -1 cannot be used"):
        options(seed=-1)


@pytest.mark.parametrize("articulation", [0.4, 1.0, 1.6])
def test_possible_articulations_are_accepted(articulation):
    options(articulation=articulation)


@pytest.mark.parametrize("articulation", [-1.0, 0.39, 1.61, float("nan"), float("inf")])
def test_other_articulations_are_refused(articulation):
    with pytest.raises(InputError, match=f"an articulation of {articulation:g} cannot be used; give 0.4 to 1.6"):
        options(articulation=articulation)


def test_compat_published_has_no_articulation():
    with pytest.raises(InputError, match="leave articulation out"):
        options(articulation=1.2, compat="published")


def test_an_unknown_compat_is_refused():
    # Set past the constructor: in tests its types are checked first, which a user's run does not do.
    wrong = options()
    object.__setattr__(wrong, "compat", "printed")
    with pytest.raises(InputError, match="a compat of printed cannot be used; give published, or leave it out"):
        wrong.__post_init__()


def test_an_unknown_turn_is_refused():
    wrong = options()
    object.__setattr__(wrong, "turn", "liquid")
    with pytest.raises(InputError, match="a turn of liquid cannot be used; give depth or network"):
        wrong.__post_init__()


def test_the_python_call_has_the_settings_of_the_record():
    """Same names, same defaults, same types; paths may be strings there."""
    parameters = inspect.signature(Talker.animate).parameters
    fields = {field.name: field for field in dataclasses.fields(FilmOptions)}
    kinds = get_type_hints(FilmOptions)
    assert list(parameters)[1:] == list(fields)
    for name, field in fields.items():
        if name not in ("identity", "audio"):
            assert parameters[name].default == field.default, name
        assert "Path" in str(field.type) or parameters[name].annotation == kinds[name], name


def test_the_python_call_hands_every_setting_over(monkeypatch):
    handed: list[FilmOptions] = []
    monkeypatch.setattr(Talker, "film", lambda self, given: handed.append(given) or Film.__new__(Film))
    others = {
        "pose": "lively",
        "relative": True,
        "references": ("c",),
        "turn": "network",
        "face": "left",
        "outside": True,
        "pose_face": "right",
        "missing": "hold",
        "gate": -30.0,
        "articulation": 1.2,
        "size": 64,
        "start": 1.0,
        "end": 2.0,
        "audio_stream": 1,
        "no_blinks": True,
        "seed": 3,
        "workers": 2,
        "marks": "none",
        "label": "AI",
        "label_corner": "top-left",
        "label_font": "g",
        "sign_with": (Path("d"), Path("e")),
        "tsa": "http://127.0.0.1",
        "consent": "f",
        "log": "h",
    }
    Talker.animate(Talker.__new__(Talker), "a", "b", **others)
    Talker.animate(Talker.__new__(Talker), "a", "b", full_frame=True, loop=True, max_side=1024)
    Talker.animate(Talker.__new__(Talker), "a", "b", compat="published")
    Talker.animate(Talker.__new__(Talker), "a", "b", background="wall.png")
    Talker.animate(Talker.__new__(Talker), "a", dialogue="d.json")
    Talker.animate(Talker.__new__(Talker), "a", "b", gaze="10,-5", look="camera", smile=0.4, workers=2)
    Talker.animate(Talker.__new__(Talker), "a", "b", performance="p.mp4", eyes="photo", brows="speech", mouth="m.mp4")
    defaults = FilmOptions(identity=Path("a"), audio=Path("b"))
    names = [field.name for field in dataclasses.fields(FilmOptions) if field.name not in ("identity", "audio")]
    changed = {name for name in names for each in handed if getattr(each, name) != getattr(defaults, name)}
    assert changed == set(names)


def test_full_frame_has_no_references():
    with pytest.raises(InputError, match="leave the references out"):
        options(full_frame=True, references=(Path("c"),))


def test_no_name_is_suggested_if_none_is_similar():
    assert unknown_setting("zzz", ["size", "seed"]) == "no such setting: zzz"


def test_every_setting_has_a_docstring():
    import ast

    from pcavs.animate import options as module

    tree = ast.parse(inspect.getsource(module))
    for record in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        body = [node for node in record.body if not isinstance(node, ast.FunctionDef)]
        for field, after in zip(body[1::2], body[2::2], strict=True):
            assert isinstance(field, ast.AnnAssign)
            assert isinstance(after, ast.Expr), f"{field.target.id} has no docstring"
    assert len(dataclasses.fields(AnimateOptions)) == 51


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("brows", "up", "brows: there is no film or choice named up; give speech, photo, a film or a saved track"),
        (
            "eyes",
            "spech",
            "eyes: there is no film or choice named spech; did you mean speech? Otherwise give photo, a f",
        ),
        ("mouth", "photo", "mouth: there is no film or choice named photo; give speech, a film"),
        (
            "pose",
            Path("livly"),
            "there is no pose named livly; did you mean lively? Otherwise give still, listening-nod",
        ),
    ],
)
def test_an_unknown_word_is_refused_with_what_can_be_given(name, value, message):
    with pytest.raises(InputError) as refused:
        input_files(FilmOptions(identity=Path("a.jpg"), audio=Path("b.wav"), **{name: value}))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_words_and_films_are_told_apart(tmp_path):
    (tmp_path / "film").touch()
    assert face_film("eyes", "photo") is None
    assert face_film("eyes", None) is None
    assert face_film("mouth", "gone.mp4") == Path("gone.mp4"), "who opens it says that it is missing"
    assert face_film("brows", str(tmp_path / "film")) == tmp_path / "film"
