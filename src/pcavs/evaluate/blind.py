"""A blind comparison of methods: one page with pairs of films, and the score of the answers that it saves.

The page holds no name of a method: which film is on the left is drawn with a seed and kept in look-key.json beside it.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.files import write_json, write_text, write_wav
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames

FORMAT: Final = "pcavs-look-1"
PAGE, KEY, RESULT = "look.html", "look-key.json", "look.md"

QUESTIONS: Final = {"sync": "Whose lips fit the speech better?", "real": "Which looks more like a real person?"}
"""What is asked of each pair, by name."""
CHOICES: Final = {"left": "left", "same": "no difference", "right": "right"}

_MOST_PAIRS: Final = 24
"""Pairs of a page, which then takes about ten minutes."""
_LOOK_DIGITS: Final = 16
"""Hexadecimal digits by which pages with other pairs or sides differ, so that no key scores answers of another page."""
_SIDE_PX: Final = 320
"""Longer side of the films on the page."""


def write_look(
    out: Path, films: Mapping[str, Mapping[str, str]], methods: Sequence[str], *, seed: int, most_s: float
) -> Path:
    """Writes look.html and look-key.json: the first method against each other one, clip by clip.

    Both films of a pair are encoded anew in the same size, so that neither encoder nor frame tells them apart.

    Args:
        out: The folder.
        films: Paths of the films by clip and method.
        methods: At least two; the first is compared with each other.
        seed: Seed of the order, of the sides, and of the pairs that are shown if there are many.
        most_s: Seconds of each film.
    """
    rng = np.random.default_rng(seed)
    pairs = [(clip, other) for clip in films for other in methods[1:]]
    chosen = [pairs[index] for index in rng.permutation(len(pairs))[:_MOST_PAIRS]]
    # The first method is as often on the left as on the right; the odd pair falls to either side.
    swapped = rng.permuted((np.arange(len(chosen)) + rng.integers(2)) % 2 == 1).tolist()
    key: dict[str, dict[str, str]] = {}
    sections = []
    for number, ((clip, other), swap) in enumerate(zip(chosen, swapped, strict=True), start=1):
        left, right = (other, methods[0]) if swap else (methods[0], other)
        name = f"{number:02}"
        key[name] = {"clip": clip, "left": left, "right": right}
        sources = [_encoded(Path(films[clip][each]), out / "work", most_s) for each in (left, right)]
        sections.append(_section(name, sources))
    look = hashlib.sha256(json.dumps([seed, key]).encode()).hexdigest()[:_LOOK_DIGITS]
    write_json(out / KEY, {"format": FORMAT, "look": look, "seed": seed, "pairs": key})
    page = _PAGE.replace("<!--PAIRS-->", "".join(sections)).replace("__LOOK__", look)
    write_text(out / PAGE, page)
    return out / PAGE


def score_answers(out: Path, answers: Sequence[Path]) -> Path:
    """Scores the files that people saved on the page, and returns the path of look.md, which holds the votes.

    Raises:
        InputError: There is no key, or a file is no answers of this page.
    """
    try:
        fields = json.loads((out / KEY).read_text())
        key, look = fields["pairs"], fields["look"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no {KEY} in {out}; give --out the folder that the page was written to") from error
    votes: dict[tuple[str, str, str], dict[str, int]] = {}
    for path in answers:
        for pair, given in _read_answers(path, look).items():
            if pair not in key:
                raise InputError(f"{path} answers pair {pair}, which the page in {out} does not have; give its answers")
            sides = key[pair]
            for question, choice in given.items():
                names = sorted((sides["left"], sides["right"]))
                counts = votes.setdefault((question, *names), {**dict.fromkeys(names, 0), "same": 0})
                counts[sides[choice] if choice != "same" else "same"] += 1
    lines = [f"{len(answers)} people, {len(key)} pairs. p is that of a two-sided sign test without ties.", ""]
    lines += ["| question | method | votes | method | votes | no difference | p |", "|---|---|---|---|---|---|---|"]
    for (question, first, second), counts in sorted(votes.items()):
        p = sign_test(counts[first], counts[second])
        lines.append(
            f"| {QUESTIONS[question]} | {first} | {counts[first]} | {second} | {counts[second]} | {counts['same']} | "
            f"{p:.3f} |"
        )
    write_text(out / RESULT, "\n".join(lines) + "\n")
    return out / RESULT


def sign_test(first: int, second: int) -> float:
    """Returns the p-value of a two-sided sign test."""
    total, larger = first + second, max(first, second)
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(larger, total + 1)) / 2**total)


def _read_answers(path: Path, look: str) -> dict[str, dict[str, str]]:
    try:
        fields: Any = json.loads(path.read_text())
        found = fields["answers"]
        good = fields["format"] == FORMAT and fields["look"] == look
        good &= all(
            question in QUESTIONS and choice in CHOICES
            for given in found.values()
            for question, choice in given.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} holds no answers ({error}); give a file that the page saved") from error
    if not good:
        raise InputError(f"{path} holds no answers of this page; give a file that the page saved")
    return found


def _encoded(path: Path, work: Path, most_s: float) -> str:
    """Returns a film as a data URL: H.264 and AAC, its longer side reduced to `_SIDE_PX`."""
    frames = list(read_frames(path, 0.0, most_s, _SIDE_PX))
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    scale = _SIDE_PX / max(height, width)
    size = tuple(round(side * scale / 2) * 2 for side in (width, height))
    film, sound = work / "look.mp4", work / "look.wav"
    write_wav(sound, read_waveform(path, 0.0, most_s))
    with FilmWriter(film, (size[0], size[1]), audio=sound, overwrite=True) as writer:
        for frame in frames:
            writer.write(np.asarray(cv2.resize(frame, (size[0], size[1]), interpolation=cv2.INTER_AREA), np.uint8))
    data = base64.b64encode(film.read_bytes()).decode()
    film.unlink()
    sound.unlink()
    return f"data:video/mp4;base64,{data}"


def _section(name: str, sources: Sequence[str]) -> str:
    videos = "".join(
        f'<figure><video src="{source}" controls loop playsinline preload="metadata" aria-label="{side} film"></video>'
        f"<figcaption>{side}</figcaption></figure>"
        for side, source in zip(("left", "right"), sources, strict=True)
    )
    questions = "".join(
        f"<fieldset><legend>{text}</legend>"
        + "".join(
            f'<label><input type="radio" name="{name}-{question}" value="{choice}"> {shown}</label>'
            for choice, shown in CHOICES.items()
        )
        + "</fieldset>"
        for question, text in QUESTIONS.items()
    )
    both = '<button type="button" class="both">Play both, sound of one</button>'
    return (
        f'<section data-pair="{name}"><h2>Pair {name}</h2><div class="films">{videos}</div>{both}{questions}</section>'
    )


_PAGE: Final = """<!doctype html><html lang=en><head><meta charset=utf-8><title>Blind comparison</title>
<meta name=viewport content="width=device-width"><style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:0 0 .5rem}
section{border-top:1px solid #8886;padding:1.2rem 0}
.films{display:flex;gap:.6rem}figure{margin:0;flex:1 1 0;min-width:0}video{width:100%;display:block;background:#000}
figcaption{text-align:center;font-size:.9rem}button{font:inherit;padding:.4rem .9rem;margin:.5rem 0}
fieldset{border:0;padding:0;margin:.5rem 0}legend{font-weight:600;padding:0}label{margin-right:1.2rem}
.bar{position:sticky;bottom:0;background:Canvas;border-top:1px solid #8886;padding:.6rem 0;display:flex;gap:1rem;
align-items:center;flex-wrap:wrap}
</style></head><body><h1>Blind comparison</h1>
<p>Each pair shows the same speech, made in two ways. Watch both films with sound, then answer. Answers stay in this
browser until you save them as a file; nothing is sent.</p><!--PAIRS-->
<div class=bar><button type=button id=save>Save answers</button><span id=done role=status></span></div>
<script>
"use strict";
const LOOK = "__LOOK__";
const inputs = [...document.querySelectorAll("input[type=radio]")];
const total = new Set(inputs.map((each) => each.name)).size;
const chosen = () => inputs.filter((each) => each.checked);
const show = () => {
  document.getElementById("done").textContent = `${chosen().length} of ${total} answered`;
};
for (const each of inputs) each.addEventListener("change", show);
show();
for (const section of document.querySelectorAll("section")) {
  const films = [...section.querySelectorAll("video")];
  let heard = 0;
  section.querySelector(".both").addEventListener("click", () => {
    for (const other of document.querySelectorAll("video")) other.pause();
    films.forEach((film, index) => { film.muted = index !== heard; film.currentTime = 0; film.play(); });
    heard = 1 - heard;
  });
}
document.getElementById("save").addEventListener("click", () => {
  const answers = {};
  for (const each of chosen()) {
    const [pair, question] = each.name.split("-");
    (answers[pair] ??= {})[question] = each.value;
  }
  const text = JSON.stringify({ format: "pcavs-look-1", look: LOOK, answers }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "answers.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
</script></body></html>
"""
