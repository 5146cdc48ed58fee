"""Dockerfile and compose.yaml name files, extras and settings that exist; scripts/check_docker.py runs their steps."""

import re
import tomllib

import pytest

from helpers.containers import ROOT, compose, dockerfile
from helpers.documents import commands, parsed
from pcavs.serve.options import ServeOptions, WorkerOptions

STEPS = dockerfile()
SERVICES = compose()["services"]
COMMANDS = {
    "Dockerfile": next(step for step in STEPS if step.word == "CMD").commands()[0],
    **{name: each["command"] for name, each in SERVICES.items() if "command" in each},
}


def environment():
    return dict(word.split("=", 1) for step in STEPS if step.word == "ENV" for word in step.text.split())


def test_what_is_copied_exists_and_is_sent_to_the_build():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [name for step in STEPS if step.word == "COPY" for name in step.text.split()[:-1]]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_what_is_installed_is_offered():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (words,) = [words for step in STEPS if step.word == "RUN" for words in step.commands() if words[0] == "pip"]
    place, extras = re.fullmatch(r"(/source)\[(.*)\]", words[-1]).groups()
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert words[words.index("-c") + 1] == f"{place}/constraints.txt"
    needed = {project["readme"], *project["license-files"], "pyproject.toml", "src"}
    assert needed <= {name for step in STEPS if step.word == "COPY" for name in step.text.split()[:-1]}


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_parse_and_fit_their_surroundings(place, monkeypatch):
    program, *arguments = COMMANDS[place]
    name, options = parsed(arguments, monkeypatch)
    assert (program, type(options)) == ("pcavs", ServeOptions if name == "serve" else WorkerOptions)
    if options.jobs is not None:
        user, host, database = re.fullmatch(r"postgresql://(\w+)@(\w+)/(\w+)", options.jobs).groups()
        given = SERVICES[host]["environment"]
        assert (given["POSTGRES_USER"], given["POSTGRES_DB"]) == (user, database)
        assert given["POSTGRES_PASSWORD"] == SERVICES[place]["environment"]["PGPASSWORD"]
        assert host in SERVICES[place]["depends_on"]
    if isinstance(options, ServeOptions):
        ports = [step.text for step in STEPS if step.word == "EXPOSE"]
        assert ports == [str(options.port)]


def test_what_is_kept_is_in_the_volumes():
    folder = environment()["PCAVS_DATA"]
    assert folder in [step.text for step in STEPS if step.word == "VOLUME"]
    volumes = [each.split(":") for service in SERVICES.values() for each in service["volumes"]]
    assert {name for name, _ in volumes} == set(compose()["volumes"])
    assert all(f"data:{folder}" in SERVICES[name]["volumes"] for name in ("serve", "worker"))
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


def test_the_service_listens_for_others_only_behind_loopback_and_without_root():
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["serve"]["ports"])
    words = [step.word for step in STEPS]
    assert words.index("USER") < words.index("CMD")


def test_documented_calls_name_services_and_commands_that_exist(monkeypatch):
    calls = [words for words in commands(ROOT / "docs" / "serve.md") if words[:2] == ["docker", "compose"]]
    runs = [words for words in calls if words[2] == "run"]
    assert runs
    for words in runs:
        assert words[4] in SERVICES
        parsed(words[words.index("pcavs") + 1 :], monkeypatch)


def test_python_is_one_that_the_package_takes():
    version = next(step.text for step in STEPS if step.word == "FROM").removeprefix("python:").split("-")[0]
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert [int(part) for part in version.split(".")] >= [int(part) for part in requires.split(".")]
