"""Hooks of MkDocs (mkdocs.yml): adds pages that are not in docs/, and makes links of the repository links of the site.

The README becomes the first page. Links to files that the site does not show, such as examples and code, become text,
because no public address of the repository is known.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports] - in the extra `docs`

ROOT = Path(__file__).resolve().parents[1]
ADDED = {
    "README.md": "index.md",
    "MODEL_CARD.md": "MODEL_CARD.md",
    "RESPONSIBLE_USE.md": "RESPONSIBLE_USE.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
}
"""Pages of the repository's root, and their names in the site."""
REFERENCE = (
    "load",
    "verify",
    "animate.talker.Talker",
    "animate.film.Film",
    "animate.session.Session",
    "animate.avatar.Avatar",
    "provenance.verify.Verification",
    "errors",
)
"""What the reference describes, below `pcavs`."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of the root and the reference."""
    for source, name in ADDED.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    pages = (f"::: pcavs.{name}\n" for name in REFERENCE)
    files.append(File.generated(config, "reference.md", content="# Reference\n\n" + "\n".join(pages)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Rewrites the links of a page."""
    name = page.file.src_uri
    added = {site: source for source, site in ADDED.items()}
    place = PurePosixPath(added.get(name, f"docs/{name}")).parent

    def replaced(match: re.Match[str]) -> str:
        picture, text, target, anchor = match.groups()
        if not target or "://" in target:
            return match.group(0)
        path = os.path.normpath(place / target)
        site = ADDED.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if site is None or files.get_file_from_path(site) is None:
            return text
        relative = os.path.relpath(site, PurePosixPath(name).parent)
        return f"{picture}[{text}]({relative}{anchor or ''})"

    return LINK.sub(replaced, markdown)
