"""The one door: words become options records, errors become one line and an exit code."""

import contextlib
import dataclasses
import importlib
import io
import itertools
import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple

from pcavs.animate.options import AnimateOptions
from pcavs.errors import PcavsError, unknown_setting

EXIT_ERROR, EXIT_USAGE, EXIT_STOPPED, EXIT_ENDED = 1, 2, 130, 143

_EXTRA_OF: Final = {"torch": "train", "lightning_fabric": "train"}


class Command(NamedTuple):
    """A verb: where its options and its work are, as `module:name`, loaded only when it is called."""

    options: str
    work: str
    positional: tuple[str, ...] = ()
    """Settings that may come first, without their names."""
    recipe: str | None = None
    """Turns a recipe among the words into the settings that it holds."""


COMMANDS: Final = {
    "animate": Command("pcavs.animate.options:AnimateOptions", "pcavs.animate.run:run"),
    "doctor": Command("pcavs.doctor:DoctorOptions", "pcavs.doctor:run"),
    "evaluate": Command("pcavs.evaluate.options:EvaluateOptions", "pcavs.evaluate.run:run"),
    "batch": Command("pcavs.animate.options:BatchOptions", "pcavs.animate.batch:run", ("jobs",)),
    "compare": Command("pcavs.evaluate.options:CompareOptions", "pcavs.evaluate.compare:run", ("films",)),
    "pose extract": Command("pcavs.pose.options:ExtractOptions", "pcavs.pose.commands:extract", ("film", "out")),
    "pose plot": Command("pcavs.pose.options:PlotOptions", "pcavs.pose.commands:plot", ("pose", "out")),
    "pose preview": Command("pcavs.pose.options:PreviewOptions", "pcavs.pose.commands:preview", ("pose", "out")),
    "prepare": Command("pcavs.prepare.options:PrepareOptions", "pcavs.prepare.run:run"),
    "pack": Command("pcavs.prepare.options:PackOptions", "pcavs.prepare.packing:run"),
    "train": Command("pcavs.train.options:TrainOptions", "pcavs.train.run:run", recipe="pcavs.train.recipe:expand"),
    "adapt": Command("pcavs.train.adapt_options:AdaptOptions", "pcavs.train.adapt:run"),
    "synth": Command("pcavs.synth.options:SynthOptions", "pcavs.synth.run:run"),
    "weights convert": Command(
        "pcavs.weights.options:ConvertOptions", "pcavs.weights.convert:run", ("checkpoints", "out")
    ),
    "weights export": Command("pcavs.weights.options:ExportOptions", "pcavs.weights.export:run", ("bundle",)),
    "weights list": Command("pcavs.weights.options:ListOptions", "pcavs.weights.show:list_weights", ("folder",)),
    "weights parity": Command("pcavs.weights.options:ParityOptions", "pcavs.weights.parity:run"),
    "weights show": Command("pcavs.weights.options:ShowOptions", "pcavs.weights.show:show", ("bundle",)),
    "weights verify": Command("pcavs.weights.options:VerifyOptions", "pcavs.weights.verify:run", ("weights",)),
}


class UsageError(Exception):
    """The words on the command line make no command."""


def main(words: list[str] | None = None) -> None:
    """Runs `pcavs`; leaves with 0, 1 (an error that the message explains), 2 (usage), or 130 (Ctrl-C)."""
    # A polite end from outside unwinds like Ctrl-C, so that no half film stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_ENDED))
    try:
        code = _run(sys.argv[1:] if words is None else words)
    except UsageError as error:
        code = _complain(error, EXIT_USAGE)
    except PcavsError as error:
        code = _complain(error, EXIT_ERROR)
    except KeyboardInterrupt:
        code = _complain("stopped", EXIT_STOPPED)
    sys.exit(code)


def _complain(error: object, code: int) -> int:
    sys.stderr.write(f"pcavs: error: {' '.join(str(error).split())}\n")
    return code


def _run(words: list[str]) -> int:
    name, rest = _command(words)
    if name is None:
        sys.stdout.write(_overview())
        return 0
    if name == "version":
        sys.stdout.write(f"pcavs {importlib.import_module('pcavs').__version__}\n")
        return 0
    options = _parse(name, rest)
    _configure_logging(options)
    return _WORK.get(name, _do)(options, COMMANDS[name])


def _command(words: list[str]) -> tuple[str | None, list[str]]:
    if not words or words[0] in ("-h", "--help"):
        return None, []
    if words[0] == "--version":
        return "version", []
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, words[count:]
    known = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if known:
        if len(words) == 1 or words[1] in ("-h", "--help"):
            return None, []
        raise UsageError(f"no such command: {' '.join(words[:2])}; there are {', '.join(known)}; see pcavs --help")
    raise UsageError(unknown_setting(words[0], COMMANDS).replace("setting", "command") + "; see pcavs --help")


def _overview() -> str:
    first_lines = {name: (_load(command.options).__doc__ or "").splitlines()[0] for name, command in COMMANDS.items()}
    rows = [f"  {name:15} {text}" for name, text in first_lines.items()]
    ends = ["", "pcavs COMMAND --help tells all settings.", ""]
    return "\n".join(["usage: pcavs COMMAND [--setting VALUE ...]", "", *rows, *ends])


def _parse(name: str, words: list[str]) -> Any:
    """Fills the command's options record."""
    command = COMMANDS[name]
    record = _load(command.options)
    if command.recipe:
        words = _load(command.recipe)(words)
    leading = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    named = list(zip(command.positional, leading, strict=False))
    words = [*(word for name, value in named for word in (f"--{name}", value)), *words[len(named) :]]
    if not {"-h", "--help"} & set(words):
        _check_settings(record, words, name)
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(record, prog=f"pcavs {name}", args=words, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as end:
        if end.code != EXIT_USAGE:
            raise
    raise UsageError(f"{_unboxed(said.getvalue())}; see pcavs {name} --help")


def _check_settings(record: Any, words: list[str], name: str) -> None:
    """Refuses unknown and missing settings in one line, where tyro would draw a box."""
    given = {word.partition("=")[0][2:].replace("_", "-") for word in words if word.startswith("--") and word != "--"}
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(record)}
    for setting in sorted(given - set(fields)):
        close = unknown_setting(f"--{setting}", [f"--{key}" for key in fields])
        raise UsageError(f"{close}; see pcavs {name} --help")
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [f"--{key}" for key in required if key not in given]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}; see pcavs {name} --help")


def _unboxed(text: str) -> str:
    """Takes the first sentence out of tyro's box, less the box's title."""
    lines = [line for line in text.splitlines() if not line.startswith("\u256d")]
    inner = " ".join(re.sub("[\u2500-\u257f]+", " ", "\n".join(lines)).split())
    return re.split(r"\.? (?:Got errors|Argument helptext|For full helptext)", inner)[0]


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _work(command: Command) -> Callable[..., Any]:
    try:
        return _load(command.work)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF:
            raise
        raise PcavsError(f'this needs {package}; pip install "pcavs[{_EXTRA_OF[package]}]"') from error


def _do(options: Any, command: Command) -> int:
    result = _work(command)(options)
    sys.stdout.write(f"{_told(result)}\n")
    return 0


def _told(result: Any) -> str:
    if isinstance(result, dict):
        return json.dumps(result, indent=1)
    if isinstance(result, list):
        return "\n".join(str(each) for each in result)
    if hasattr(result, "_asdict"):
        return ", ".join(f"{value} {key}" for key, value in result._asdict().items())
    return str(getattr(result, "path", result))


def _animate(options: AnimateOptions, command: Command) -> int:
    work = _work(command)
    with _progress(shown=not options.quiet and sys.stderr.isatty()) as progress:
        summary = work(options, progress)
    if options.json:
        sys.stdout.write(json.dumps(dataclasses.asdict(summary)) + "\n")
    elif not options.quiet:
        sys.stdout.write(summary.line() + "\n")
    return 0


def _doctor(options: Any, command: Command) -> int:
    report = _work(command)(options)
    text = json.dumps(report, indent=1) if options.json else "\n".join(_load("pcavs.doctor:lines")(report))
    sys.stdout.write(text + "\n")
    return EXIT_ERROR if report["problems"] else 0


def _check(options: Any, command: Command) -> int:
    report = _work(command)(options)
    sys.stdout.write("\n".join(report.lines) + "\n")
    return 0 if report.ok else EXIT_ERROR


_WORK: Final[dict[str, Callable[[Any, Command], int]]] = {
    "animate": _animate,
    "batch": _check,
    "doctor": _doctor,
    "weights parity": _check,
    "weights verify": _check,
}


@contextlib.contextmanager
def _progress(*, shown: bool) -> Generator[Callable[[str, int, int], None]]:
    """A bar with the time left, on stderr, one for each thing that is being done."""
    if not shown:
        yield lambda doing, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=total)
            bar.update(tasks[doing], completed=done, total=total)

        yield progress


class _Stderr(logging.Handler):
    """Writes to whatever stderr is now, so that a progress bar can make room; says nothing twice."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self._said:
                return
            self._said.add(text)
            text = f"{record.levelname.lower()}: {text}"
        sys.stderr.write(f"pcavs: {text}\n")


def _configure_logging(options: Any) -> None:
    level = logging.INFO
    if isinstance(options, AnimateOptions):
        level = logging.ERROR if options.quiet else logging.WARNING
    logging.basicConfig(level=logging.WARNING, handlers=[_Stderr()], force=True)
    logging.getLogger("pcavs").setLevel(level)
