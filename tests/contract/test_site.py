"""The documentation site and the workflow files of GitHub, as far as they can be checked without either."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("integrations/**/*.md"))]


def slugs(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub and MkDocs make them of plain headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def names(entry: str | dict | list) -> list[str]:
    """Returns the pages of an entry of mkdocs.yml's `nav`."""
    if isinstance(entry, str):
        return [entry]
    return [name for part in (entry.values() if isinstance(entry, dict) else entry) for name in names(part)]


def test_anchors_of_links_exist():
    links = [
        (page, path, anchor)
        for page in PAGES
        for path, anchor in re.findall(r"\]\((?!http)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    ]
    broken = [
        f"{page.relative_to(ROOT)}: {path}#{anchor}"
        for page, path, anchor in links
        if (target := (page.parent / path if path else page)).suffix == ".md" and anchor not in slugs(target)
    ]
    assert broken == []


def test_the_site_shows_every_page():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    shown = names(settings["nav"])
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False
    assert len(shown) == len(set(shown))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(shown)


def test_the_site_takes_the_roots_pages():
    source = (ROOT / "scripts" / "site_hook.py").read_text()
    added = re.findall(r'^    "([A-Z_]+\.md)": "', source, re.MULTILINE)
    assert "README.md" in added
    assert [name for name in added if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_exists(path: Path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z-]+)(?= *[a-z-]*:)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {word for text in commands for part in re.findall(r"make ((?:[a-z-]+ ?)+)", text) for word in part.split()}
    assert {"lint", "types", "layers", "docs"} <= called
    assert called <= targets
    scripts = re.findall(r"(scripts/\w+\.py)", "\n".join(commands))
    assert scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_workflows_name_the_supported_versions():
    classifiers = (ROOT / "pyproject.toml").read_text()
    supported = set(re.findall(r"Python :: (3\.\d+)\"", classifiers))
    tested = set(yaml.safe_load(WORKFLOWS[0].read_text())["jobs"]["tests"]["strategy"]["matrix"]["python"])
    assert tested == supported
