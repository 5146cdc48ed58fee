"""The files of the page: strings, security policy, and the mesh of the wireframe."""

import json
import re
from pathlib import Path

import make_page_mesh

PAGE = make_page_mesh.MESH.parent
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in PAGE.glob("*.js")}
HTML = (PAGE / "index.html").read_text(encoding="utf-8")
STRINGS = json.loads((PAGE / "strings" / "en.json").read_text(encoding="utf-8"))
MADE_UP = (
    "preset_|yaw|pitch|roll|background_|look_|consent_|ease_|activity_|status_|speaker_|timeline_p"
    "|ready|starting|stopped"
)
"""Names of strings that scripts put together."""


def test_every_string_that_is_named_exists_and_every_one_is_named():
    named = set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', HTML))
    for text in SCRIPTS.values():
        named |= set(re.findall(r'\bt\("([\w-]+)"', text)) | set(
            re.findall(r'"(missing_\w+|record_\w+|error_\w+)"', text)
        )
        named |= set(re.findall(r'\bt\(\w+ \? "(\w+)" : "\w+"', text)) | set(
            re.findall(r'\? "\w+" : "(\w+_\w+)"', text)
        )
    assert named - set(STRINGS) == set()
    assert {name for name in set(STRINGS) - named if not re.match(MADE_UP, name)} == set()


def test_the_page_keeps_the_security_policy_and_names_no_other_host():
    for text in (HTML, *SCRIPTS.values(), *(path.read_text() for path in (PAGE / "style").iterdir())):
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert re.findall(r"<script(?![^>]* src=)|<style|\bstyle=|\bon\w+=|javascript:", HTML) == []
    assert not any("innerHTML" in text or "eval(" in text for text in SCRIPTS.values())


def test_files_that_the_page_names_exist():
    named = set(re.findall(r'(?:src|href)="page/([^"#]+)', HTML))
    named |= {Path(name).name for text in SCRIPTS.values() for name in re.findall(r'from "\./([\w.]+)"', text)}
    assert {name for name in named if not (PAGE / name).is_file()} == set()
    used = set(re.findall(r'icons\.svg#(\w+)"', HTML))
    used |= {name for text in SCRIPTS.values() for name in re.findall(r'\bicon(?:Button)?\("(\w+)"', text)}
    assert used - set(re.findall(r'<symbol id="(\w+)"', (PAGE / "icons.svg").read_text())) == set()


def test_the_wireframe_is_the_canonical_head():
    assert make_page_mesh.MESH.read_text() == make_page_mesh.mesh_text()
