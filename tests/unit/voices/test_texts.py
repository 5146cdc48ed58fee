"""Pauses, paragraphs, sentences, abbreviations and amounts of texts."""

import pytest

from pcavs.errors import InputError
from pcavs.voices.texts import Piece, clauses, paragraphs, pieces, sentences, written_out


def ends(text, language="en-us"):
    return ["".join(f"{words}{mark}|" for words, mark in sentence) for sentence in sentences(text, language)]


def test_pauses_are_cut_out_of_the_text():
    text = "One.[pause 0.5] Two <break time='250ms'/>three <BREAK/> four [pause 2s][pause .5]"
    assert pieces(text) == [
        Piece("One.", 0.5), Piece("Two", 0.25), Piece("three", 0.5), Piece("four", 2.0), Piece("", 0.5), Piece("", 0.0)
    ]  # fmt: skip
    assert pieces('a <break strength="x-strong"/> b')[0] == Piece("a", 1.0)
    assert pieces("a [pause] b, [PAUSE 100 ms] c")[1] == Piece("b,", 0.1)
    assert pieces("1 < 2, a[1] > 0") == [Piece("1 < 2, a[1] > 0", 0.0)]


@pytest.mark.parametrize(
    "pause",
    ["[pause x]", "[pause -1]", "[pause 11]", "<break time='long'/>", "<break tim='1s'/>", '<break time="1h"/>'],
)
def test_a_pause_that_cannot_be_read_is_refused(pause):
    with pytest.raises(InputError, match=r"is no pause; write <break time=\"500ms\"/> or \[pause 0\.5\], up to 10 s"):
        pieces(f"One {pause} two")


def test_pauses_are_limited_together():
    with pytest.raises(InputError, match=r"pauses of the text are 70 s long; give at most 60 s in all"):
        pieces("a [pause 10]" * 7)


def test_paragraphs_and_lists():
    text = "A line\nthat goes on.\n\n  \nThings:\n- one\n- two, too\n3. three\n\n\n"
    assert paragraphs(text) == ["A line that goes on.", "Things: one. two, too. 3. three"]
    assert paragraphs(" \n\n ") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.5 km at 10:30, or 1,000 m. Then?! Yes...", ["3.5 km at 10:30,|or 1,000 m.|", "Then?|", "Yes…|"]),
        ("J. R. Smith of the U.S. Navy said: wait — what?", ["J. R. Smith of the U.S. Navy said:|wait—|what?|"]),
        ('"Really?" she asked. (Yes.) «Oui!»', ["Really?|", "she asked.|", "Yes.|", "Oui!|"]),
        ("¿Qué? ¡No! Вот. जी हाँ। 好。对！", ["Qué?|", "No!|", "Вот.|", "जी हाँ.|", "好.|", "对!|"]),
        ("www.example.org is up; good-bye, e-mail.", ["www.example.org is up;|good-bye,|e-mail.|"]),
        ("... !!! ,", []),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_would_stop(text, expected):
    assert ends(text) == expected


def test_ordinals_end_no_sentence_where_a_language_writes_them_so():
    assert ends("Am 3. Mai war es 1990. Gut.", "de") == ["Am 3. Mai war es 1990.|", "Gut.|"]
    assert ends("It was 3. Then 4.", "en-us") == ["It was 3.|", "Then 4.|"]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-us", "No. Dr. Mt. Smith, e.g. No. 5", "No. Doctor Mount Smith, for example number 5"),
        ("en-gb", "Apples, etc. were sold by Ltd. at 5 p.m.", "Apples, et cetera were sold by Limited at 5 p m."),
        ("en-us", "Apples, etc. Then he left.", "Apples, et cetera. Then he left."),
        ("en-us", "$5.99, $1, £3.00 or $2.5 million", "5 dollars 99, 1 dollar, 3 pounds or 2.5 million dollars"),
        ("de", "Es sind z.B. $5 bzw. Dr. Nr. 2", "Es sind zum Beispiel 5 $ beziehungsweise Doktor Nummer 2"),
        ("fr", "M. Dupont, p. ex.", "monsieur Dupont, par exemple"),
        ("es", "El Sr. y la Sra. de EE. UU.", "El señor y la señora de Estados Unidos"),
        ("fi", "Dr. e.g. stays", "Dr. e.g. stays"),
    ],
)  # fmt: skip
def test_abbreviations_and_amounts_are_written_out(language, text, expected):
    assert written_out(text, language) == expected


def test_no_word_is_lost():
    text = "Well, this is long: it goes on; and (as always) on — and on. " * 50
    said = " ".join(words for words, _ in clauses(text, "en"))
    assert said.replace("(", "").replace(")", "").split() == [
        word.strip(".,:;()") for word in text.split() if word != "—"
    ]
