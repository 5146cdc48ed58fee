"""Settings of a film: shared by command line and Python, refused in one line."""

import dataclasses
from pathlib import Path

import pytest

from pcavs.animate.options import AnimateOptions, FilmOptions, verify
from pcavs.animate.talker import Talker
from pcavs.errors import InputError, unknown_setting


def options(**changes):
    return FilmOptions(identity=Path("a"), audio=Path("b"), **changes)


@pytest.mark.parametrize("size", [None, 32, 256, 2048])
def test_sizes_that_films_have(size):
    verify(options(size=size))


@pytest.mark.parametrize("size", [-2, 0, 30, 255, 2050])
def test_sizes_that_films_have_not(size):
    with pytest.raises(InputError, match=f"a size of {size} cannot be used; give an even number from 32 to 2048"):
        verify(options(size=size))


def test_a_negative_seed():
    with pytest.raises(InputError, match="a seed of -1 cannot be used"):
        verify(options(seed=-1))


@pytest.mark.parametrize("articulation", [0.4, 1.0, 1.6])
def test_articulations_that_films_have(articulation):
    verify(options(articulation=articulation))


@pytest.mark.parametrize("articulation", [-1.0, 0.39, 1.61, float("nan"), float("inf")])
def test_articulations_that_films_have_not(articulation):
    with pytest.raises(InputError, match=f"an articulation of {articulation:g} cannot be used; give 0.4 to 1.6"):
        verify(options(articulation=articulation))


def test_the_published_code_knows_no_articulation():
    with pytest.raises(InputError, match="leave articulation out"):
        verify(options(articulation=1.2, compat="published"))


def test_an_unknown_way_of_laying_things_out():
    # What the types of the record would tell the tests, they do not tell a user.
    wrong = options()
    object.__setattr__(wrong, "compat", "printed")
    with pytest.raises(InputError, match="a compat of printed cannot be used; give published, or leave it out"):
        verify(wrong)


def test_an_unknown_way_of_turning():
    wrong = options()
    object.__setattr__(wrong, "turn", "liquid")
    with pytest.raises(InputError, match="a turn of liquid cannot be used; give depth or network"):
        verify(wrong)


def test_an_unknown_setting_of_the_python_call():
    talker = Talker.__new__(Talker)
    with pytest.raises(InputError, match="no such setting: sise; did you mean size?"):
        talker.animate("a.jpg", "b.wav", sise=256)


def test_the_suggestion_is_left_out_where_nothing_is_close():
    assert unknown_setting("zzz", ["size", "seed"]) == "no such setting: zzz"


def test_every_setting_says_what_it_is():
    import ast
    import inspect

    from pcavs.animate import options as module

    tree = ast.parse(inspect.getsource(module))
    for record in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in zip(record.body[1::2], record.body[2::2], strict=True):
            assert isinstance(field, ast.AnnAssign)
            assert isinstance(after, ast.Expr), f"{field.target.id} has no docstring"
    assert len(dataclasses.fields(AnimateOptions)) == 28
