"""The release script refuses what is not ready, compares what it builds, and uploads nothing; the small container."""

import json
import re
import shutil
import subprocess
import tarfile
import zipfile

import pytest

import release
from helpers.containers import dockerfile


@pytest.fixture
def tree(root, tmp_path):
    """A repository with the files that name the version, and a package of two files."""
    for name in release.VERSIONS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, tmp_path / name)
    (tmp_path / "src" / "pcavs" / "data.bin").write_bytes(b"\x00\x01")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_all_files_name_one_version(root, tree):
    version = release.one_version(root)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    citation = tree / "CITATION.cff"
    citation.write_text(citation.read_text().replace(version, "9.9.9"))
    with pytest.raises(SystemExit, match=r"CITATION.cff has 9.9.9"):
        release.one_version(tree)


def test_notes_are_the_section_of_the_version():
    text = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-02\n### Added\n- Two.\n\n## [0.1.0]\n- One.\n"
    assert release.notes(text, "0.2.0") == "### Added\n- Two.\n"
    assert release.notes(text, "0.1.0") == "- One.\n"
    for version in ("0.3.0", "0.2"):
        with pytest.raises(SystemExit, match="no section"):
            release.notes(text, version)


def test_only_a_tagged_commit_without_changes_is_released(tree):
    with pytest.raises(SystemExit, match=r"the tag v1.0.0 is not"):
        release.check_checkout(tree, "1.0.0")
    subprocess.run(["git", "tag", "v1.0.0"], cwd=tree, check=True)
    release.check_checkout(tree, "1.0.0")
    (tree / "CITATION.cff").write_text("")
    with pytest.raises(SystemExit, match="not committed"):
        release.check_checkout(tree, "1.0.0")


def test_what_was_built_holds_what_the_repository_holds(tree):
    expected = release.package_files(tree)
    assert set(expected) == {"pcavs/__init__.py", "pcavs/data.bin"}
    wheel, archive = tree / "a.whl", tree / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as file:
        for name in expected:
            file.write(tree / "src" / name, name)
        file.writestr("pcavs-1.dist-info/METADATA", "")
    with tarfile.open(archive, "w:gz") as file:
        file.add(tree / "src", "pcavs-1/src")
    release.check_equal(expected, release.wheel_files(wheel), "the wheel")
    release.check_equal(expected, release.archive_files(archive), "the archive")
    (tree / "src" / "pcavs" / "data.bin").write_bytes(b"\x02")
    with pytest.raises(SystemExit, match=r"differ in 1 files: pcavs/data.bin"):
        release.check_equal(release.package_files(tree), release.wheel_files(wheel), "the wheel")


def test_building_runs_no_upload(tmp_path):
    calls = []

    def run(words, **_):
        calls.append(words[2:4])
        for name in ("pcavs-1.tar.gz", "pcavs-1-py3-none-any.whl"):
            (tmp_path / name).touch()

    release.build(tmp_path, tmp_path, run)
    assert calls == [["build", "--outdir"], ["twine", "check"]]


def test_the_small_container(root):
    steps = dockerfile("Dockerfile.cli")
    sent = [step.text.split()[:-1] for step in steps if step.word == "COPY" and "--from" not in step.text]
    copied = [name for names in sent for name in names]
    kept = [line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)
    words = [step.word for step in steps]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert steps[words.index("ENTRYPOINT")].commands() == [["pcavs"]]
    images = {step.text.split()[0] for step in steps if step.word == "FROM"}
    assert images == {step.text for step in dockerfile() if step.word == "FROM"}


def test_the_development_container_calls_targets_that_exist(root):
    settings = json.loads((root / ".devcontainer" / "devcontainer.json").read_text())
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE)
    called = re.findall(r"make ([a-z-]+)", settings["postCreateCommand"])
    assert called
    assert set(called) <= set(targets)
