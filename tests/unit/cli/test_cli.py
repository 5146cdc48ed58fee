"""The command line: arguments to options records, errors to one line and an exit code."""

import dataclasses
import json
import subprocess
import sys

import pytest

import pcavs
from pcavs import cli
from pcavs.errors import InputError


@pytest.fixture
def run(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as end:
            cli.main(list(words))
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return run


def test_help_names_every_command(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name in cli.COMMANDS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("words", [[], ["-h"], ["weights"], ["weights", "--help"]])
def test_without_a_command_the_overview_is_printed(run, words):
    assert run(*words)[:2] == run("--help")[:2]


def test_version(run):
    assert run("--version") == (0, f"pcavs {pcavs.__version__}\n", "")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_its_settings(run, name):
    code, out, err = run(*name.split(), "--help")
    assert (code, err) == (0, "")
    assert f"usage: pcavs {name}" in out


MISTAKES = {
    "animate --identiy a.jpg --audio b --out c": "no such setting: --identiy; did you mean --identity?",
    "animate --identity a --audio b --out c --sed 3": "no such setting: --sed; did you mean --seed?",
    "animate --identity a --audio b --out c --zzzzz": "no such setting: --zzzzz;",
    "animate --identity a": "missing: --out;",
    "pose extrct x": "no such command: pose extrct; there are pose extract, pose plot, pose preview",
    "animate --identity a --audio b --out c --size big": "--size",
    "animate --identity a --audio b --out c --device gpu": "--device cannot be gpu; give auto, cpu or cuda",
    "animate --identity a --audio b --out": "--out",
    "animate stray --identity a --audio b --out c": "stray",
    "animat --identity a": "no such command: animat; did you mean animate?",
    "weights exprot x": "no such command: weights exprot",
    "weights export": "missing: --bundle, --out;",
    "weights export x": "missing: --out;",
    "train --packs p --runn r": "no such setting: --runn; did you mean --run?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_wrong_arguments_give_one_line(run, words):
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("pcavs: error: ")
    assert MISTAKES[words] in err
    assert "--help" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "words", "line"),
    [
        ("animate", ["--size", "large"], "--size large is not a whole number"),
        ("animate", ["--seed=1.5"], "--seed 1.5 is not a whole number"),
        ("animate", ["--smile", "big"], "--smile big is not a number"),
        ("animate", ["--end", "x"], "--end x is not a time; give seconds, or minutes as in 1:02.5"),
        ("animate", ["--start"], "--start needs a value"),
        ("animate", ["--sign-with", "chain.pem"], "--sign-with needs 2 values"),
        ("animate", ["--marks", "some"], "--marks cannot be some; give none, audio or all"),
        ("animate", ["--compat", "paper"], "--compat cannot be paper; give published"),
        ("prepare", ["--limits", "sound", "low"], "--limits sound low cannot be read"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_named_with_what_it_takes(run, command, words, line):
    needed = {"animate": ["--identity", "a.jpg", "--out", "b.mp4"], "prepare": ["--source", "a", "--out", "b"]}
    code, out, err = run(command, *needed[command], *words)
    assert (code, out) == (2, "")
    assert err == f"pcavs: error: {line}; see pcavs {command} --help\n"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_names_no_types_of_python(run, name):
    _, out, _ = run(*name.split(), "--help")
    assert "{None}" not in out


def test_underscores_are_accepted_for_hyphens(run):
    assert "no such setting" not in run("train", "--packs", "p", "--run", "r", "--save_minutes", "x")[2]


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["--label"], "AI-generated"),
        (["--label", "--seed", "3"], "AI-generated"),
        (["--label", "Made by AI"], "Made by AI"),
        (["--label=Made by AI", "--label-corner", "top-left"], "Made by AI"),
        ([], None),
    ],
)
def test_a_label_alone_has_the_usual_text(run, monkeypatch, words, label):
    given = []
    monkeypatch.setattr("pcavs.animate.run.run", lambda options, _: given.append(options) or sys.exit(0))
    assert run("animate", "--identity", "a", "--audio", "b", "--out", "c", *words)[0] == 0
    assert given[0].label == label


def test_an_error_is_one_line_however_it_was_raised(run, monkeypatch):
    def fail(options):
        raise InputError("first\n  second")

    monkeypatch.setattr("pcavs.doctor.run", fail)
    assert run("doctor") == (1, "", "pcavs: error: first second\n")


def test_a_bug_keeps_its_trace(monkeypatch):
    monkeypatch.setattr("pcavs.doctor.run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_ctrl_c_is_130(run, monkeypatch):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("pcavs.doctor.run", stop)
    assert run("doctor") == (130, "", "pcavs: error: stopped\n")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("train --packs p --run r", "torch", "train"),
        ("weights export a --out b", "torch", "train"),
    ],
)
def test_a_missing_extra_is_named(run, monkeypatch, command, package, extra):
    packages = tuple(f"pcavs.{name}." for name in ("train", "weights", "prepare", "data", "models"))
    # A module that another test has imported would be found although torch is not.
    for name in [name for name in sys.modules if name.startswith(packages)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = run(*command.split())
    assert (code, out) == (1, "")
    checkout = f'or in a checkout pip install ".[{extra}]"'
    assert err == f'pcavs: error: {package} is not installed; run pip install "pcavs[{extra}]", {checkout}\n'


def test_doctor_reports_what_is_installed(run):
    code, out, err = run("doctor", "--json")
    report = json.loads(out)
    assert err == ""
    assert code == (1 if report["problems"] else 0)
    assert report["pcavs"] == pcavs.__version__
    assert report["encoders"] == {"libx264": True, "aac": True}
    assert report["packages"]["numpy"]
    assert "CPU" in report["openvino"]["devices"]
    assert all("no default weights" in problem for problem in report["problems"])


def test_doctor_says_whether_films_can_be_signed(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PCAVS_DATA", str(tmp_path))
    pytest.importorskip("c2pa")
    assert "\nsigning   available; the first film makes keys\n" in run("doctor")[1]
    (tmp_path / "keys").mkdir()
    assert f"\nsigning   available; keys in {tmp_path / 'keys'}\n" in run("doctor")[1]
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert "\nsigning   not available: the film is not signed: c2pa-python is not installed" in run("doctor")[1]


def test_doctor_prints_lines(run):
    _, out, _ = run("doctor")
    assert out.startswith("pcavs ")
    assert "\nencoders  libx264, aac\n" in out


def test_help_is_quick():
    """Aim: 0.2 s. Neither OpenVINO nor PyAV nor OpenCV nor the command-line library are loaded for it."""
    code = (
        "import sys; from pcavs.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'openvino', 'av', 'cv2', 'torch', 'tyro', 'rich', 'safetensors'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("command", ["animate", "pose extract"])
def test_settings_that_are_times_take_clock_times(command):
    """Their type says so, and not a list of names."""
    record = cli._load(cli.COMMANDS[command].options)
    needed = [f"--{field.name}=a" for field in dataclasses.fields(record) if field.default is dataclasses.MISSING]
    options = cli._parse(command, [*needed, "--start", "1:02.5", "--end=0:01:30"])
    assert (options.start, options.end) == (62.5, 90.0)
