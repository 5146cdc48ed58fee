"""The command line: parses arguments into the options record of a command, runs it, and reports errors in one line.

Each command has a frozen options record, whose docstrings are its help text, and a function that takes the record. Both
are loaded only when the command is called, so that help and errors are quick.
"""

import contextlib
import dataclasses
import importlib
import io
import itertools
import json
import logging
import re
import sys
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple

from pcavs.animate.options import AnimateOptions
from pcavs.errors import PcavsError, install_hint, raise_if_out_of_memory, unknown_setting
from pcavs.spec import Seconds, kinds_of
from pcavs.terminal import limit_freed_memory, raise_if_stopped, standard_streams, stop_once

_NUMBERS: Final = {int: "a whole number", float: "a number", Seconds: "a time; give seconds, or minutes as in 1:02.5"}
"""What a value of these types is, in messages."""
EXIT_ERROR: Final = 1
"""After an error that the message explains."""
EXIT_USAGE: Final = 2
"""After wrong arguments."""
EXIT_INTERRUPTED: Final = 130
"""After Ctrl-C: 128 + SIGINT, as shells count."""

_EXTRA_OF: Final = {
    "torch": "train",
    "lightning_fabric": "train",
    **dict.fromkeys(("fastapi", "pydantic", "sqlalchemy", "uvicorn", "python_multipart", "prometheus_client"), "serve"),
    **dict.fromkeys(("aiohttp", "aioice", "aiortc"), "live"),
}
"""The extra that installs an import package (`install_hint`)."""


class Command(NamedTuple):
    """Where a command's options record and function are, each as `module:name`."""

    options: str
    """Frozen dataclass of the settings; the first line of its docstring describes the command."""
    run: str
    """Function that takes the options record and does the work."""
    positional: tuple[str, ...] = ()
    """Settings that may be given first, without `--name`."""
    recipe: str | None = None
    """Function that replaces a recipe file among the arguments by the settings that it holds."""


_GROUPS: Final = {
    "Make films": {
        "animate": Command("pcavs.animate.options:AnimateOptions", "pcavs.animate.run:run"),
        "batch": Command("pcavs.animate.options:BatchOptions", "pcavs.animate.batch:run", ("jobs",)),
    },
    "Talk live": {
        "live": Command("pcavs.live.options:LiveOptions", "pcavs.live.run:live", ("photo",)),
    },
    "Serve a page and an API": {
        "serve": Command("pcavs.serve.options:ServeOptions", "pcavs.serve.run:serve"),
        "worker": Command("pcavs.serve.options:WorkerOptions", "pcavs.serve.run:work"),
        "tokens new": Command("pcavs.serve.options:NewTokenOptions", "pcavs.serve.run:new_token", ("name",)),
        "tokens list": Command("pcavs.serve.options:ListTokensOptions", "pcavs.serve.run:list_tokens"),
        "tokens revoke": Command("pcavs.serve.options:RevokeTokenOptions", "pcavs.serve.run:revoke_token", ("name",)),
    },
    "Work with head motion": {
        "pose extract": Command("pcavs.pose.options:ExtractOptions", "pcavs.pose.commands:extract", ("video", "out")),
        "pose plot": Command("pcavs.pose.options:PlotOptions", "pcavs.pose.commands:plot", ("pose", "out")),
        "pose preview": Command("pcavs.pose.options:PreviewOptions", "pcavs.pose.commands:preview", ("pose", "out")),
    },
    "Work with weights": {
        "weights list": Command("pcavs.weights.options:ListOptions", "pcavs.weights.show:list_weights", ("folder",)),
        "weights show": Command("pcavs.weights.options:ShowOptions", "pcavs.weights.show:show", ("bundle",)),
        "weights verify": Command("pcavs.weights.options:VerifyOptions", "pcavs.weights.verify:run", ("weights",)),
        "weights export": Command("pcavs.weights.options:ExportOptions", "pcavs.weights.export:run", ("bundle",)),
        "weights convert": Command(
            "pcavs.weights.options:ConvertOptions", "pcavs.weights.convert:run", ("checkpoints", "out")
        ),
        "weights parity": Command("pcavs.weights.options:ParityOptions", "pcavs.weights.parity:run"),
    },
    "Say where films come from": {
        "verify": Command("pcavs.provenance.options:VerifyOptions", "pcavs.provenance.verify:run", ("file",)),
        "keys show": Command("pcavs.provenance.options:ShowKeysOptions", "pcavs.provenance.commands:show_keys"),
        "keys new": Command("pcavs.provenance.options:NewKeysOptions", "pcavs.provenance.commands:new_keys"),
        "keys export": Command(
            "pcavs.provenance.options:ExportKeysOptions", "pcavs.provenance.commands:export_keys", ("out",)
        ),
    },
    "Measure quality": {
        "evaluate": Command("pcavs.evaluate.options:EvaluateOptions", "pcavs.evaluate.run:run"),
        "compare": Command("pcavs.evaluate.options:CompareOptions", "pcavs.evaluate.compare:run", ("films",)),
    },
    "Train": {
        "synth": Command("pcavs.synth.options:SynthOptions", "pcavs.synth.run:run"),
        "prepare": Command("pcavs.prepare.options:PrepareOptions", "pcavs.prepare.run:run"),
        "pack": Command("pcavs.prepare.options:PackOptions", "pcavs.prepare.packing:run"),
        "train": Command(
            "pcavs.train.options:TrainOptions", "pcavs.train.pipeline:run_training", recipe="pcavs.train.recipe:expand"
        ),
        "adapt": Command("pcavs.train.options:AdaptOptions", "pcavs.train.adapt:run"),
    },
    "Check the installation": {
        "voices": Command("pcavs.voices.options:VoicesOptions", "pcavs.voices.catalogue:run"),
        "doctor": Command("pcavs.doctor:DoctorOptions", "pcavs.doctor:run"),
    },
}
"""Commands by the heading under which the overview lists them."""

COMMANDS: Final = {name: command for group in _GROUPS.values() for name, command in group.items()}


class UsageError(Exception):
    """The arguments do not form a command."""


def main(arguments: list[str] | None = None) -> None:
    """Runs `pcavs` and exits.

    The exit code is 0 (`verify` also has 3 and 4), 1 after an error that the message explains, 2 after wrong arguments,
    129 after a lost terminal, 130 after Ctrl-C, or 143 after SIGTERM. A bug ends with a traceback.

    Args:
        arguments: Without the name of the program; None takes those of the process.
    """
    stop_once()
    limit_freed_memory()
    with standard_streams() as stdout:
        try:
            with _memory_errors():
                code = _run(sys.argv[1:] if arguments is None else arguments)
        except UsageError as error:
            code = _report_error(error, EXIT_USAGE)
        except PcavsError as error:
            code = _report_error(error, EXIT_ERROR)
        except KeyboardInterrupt:
            code = _report_error("stopped", EXIT_INTERRUPTED)
        except SystemExit as end:
            code = end.code
        stdout.flush()
        if stdout.error is not None and not isinstance(stdout.error, BrokenPipeError):
            reason = stdout.error.strerror
            code = _report_error(f"standard output cannot be written ({reason}); redirect it elsewhere", EXIT_ERROR)
    sys.exit(code)


@contextlib.contextmanager
def _memory_errors() -> Generator[None]:
    """Raises an error of one line for what fails for want of memory, wherever it does."""
    try:
        yield
    except PcavsError:
        raise
    except Exception as error:
        raise_if_out_of_memory(error)
        raise


def _report_error(error: object, code: int) -> int:
    sys.stderr.write(f"pcavs: error: {' '.join(str(error).split())}\n")
    return code


def _run(arguments: list[str]) -> int:
    name, rest = _split_command(arguments)
    if name is None:
        sys.stdout.write(_overview())
        return 0
    if name == "version":
        sys.stdout.write(f"pcavs {importlib.import_module('pcavs').__version__}\n")
        return 0
    options = _parse(name, rest)
    _configure_logging(options)
    return _RUNNERS.get(name, _run_and_print)(options, COMMANDS[name])


def _split_command(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Splits arguments into the name of a command and the rest; the name is None for the overview, or "version"."""
    if not arguments or arguments[0] in ("-h", "--help"):
        return None, []
    if arguments[0] == "--version":
        return "version", []
    for num_words in (2, 1):
        name = " ".join(arguments[:num_words])
        if name in COMMANDS:
            return name, arguments[num_words:]
    subcommands = [name for name in COMMANDS if name.startswith(f"{arguments[0]} ")]
    if subcommands:
        if len(arguments) == 1 or arguments[1] in ("-h", "--help"):
            return None, []
        found = " ".join(arguments[:2])
        raise UsageError(f"no such command: {found}; there are {', '.join(subcommands)}; see pcavs --help")
    raise UsageError(f"{unknown_setting(arguments[0], COMMANDS, kind='command')}; see pcavs --help")


def _overview() -> str:
    """Returns the text of `pcavs --help`."""
    lines = [
        "usage: pcavs COMMAND [--setting VALUE ...]",
        "",
        "Makes one photograph of a face speak any voice, with any head motion:",
        "  pcavs animate --identity photo.jpg --audio speech.wav --out film.mp4",
    ]
    for heading, commands in _GROUPS.items():
        lines += ["", f"{heading}:"]
        for name, command in commands.items():
            first_line = (_load(command.options).__doc__ or "").splitlines()[0]
            lines.append(f"  {name:15} {first_line}")
    return "\n".join([*lines, "", "pcavs COMMAND --help lists the settings of a command.", ""])


def _parse(name: str, arguments: list[str]) -> Any:
    """Builds the options record of a command from its arguments."""
    command = COMMANDS[name]
    record = _load(command.options)
    if command.recipe:
        arguments = _load(command.recipe)(arguments)
    leading = list(itertools.takewhile(lambda each: not each.startswith("-"), arguments))
    named = list(zip(command.positional, leading, strict=False))
    arguments = [*(each for key, value in named for each in (f"--{key}", value)), *arguments[len(named) :]]
    arguments = _with_values(record, _with_seconds(record, arguments))
    if not {"-h", "--help"} & set(arguments):
        _check_settings(record, arguments, name)
    import tyro

    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.cli(
                record,
                prog=f"pcavs {name}",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
                registry=_optional_values(),
            )
    except SystemExit as end:
        if end.code != EXIT_USAGE:
            raise
    raise UsageError(f"{_value_message(record, _tyro_message(stderr.getvalue()))}; see pcavs {name} --help")


def _optional_values() -> Any:
    """Returns rules for tyro: a setting that may be None is shown and read by its other type; left out, it is None."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        kinds = kinds_of(info.type)
        if len(kinds) != 1 or kinds[0] is info.type:
            return None
        spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kinds[0], info.markers))
        if not isinstance(spec, PrimitiveConstructorSpec):
            return None

        def text(value: Any) -> list[str]:
            return ["None"] if value is None else spec.str_from_instance(value)

        def fits(value: Any) -> Any:
            return value is None or spec.is_instance(value)

        return dataclasses.replace(spec, is_instance=fits, str_from_instance=text)

    return registry


def _value_message(record: Any, message: str) -> str:
    """Says what is wrong with a value and what a setting takes, in place of tyro's line about it."""
    found = re.search(r"'?--([a-z-]+)'?", message)
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(record)}
    if found is None or found[1] not in fields:
        return message
    setting, kinds = f"--{found[1]}", kinds_of(fields[found[1]].type)
    if "Missing value" in message:
        number = re.search(r"Expected (\d+)", message)
        count = "a value" if number is None or number[1] == "1" else f"{number[1]} values"
        return f"{setting} needs {count}"
    choice = re.search(r"invalid choice '(.*?)' for", message)
    if choice:
        *others, last = re.findall(r"'([^']*)'", message.partition("Expected one of")[2])
        return f"{setting} cannot be {choice[1]}; give {' or '.join(filter(None, (', '.join(others), last)))}"
    expected = next((name for kind, name in _NUMBERS.items() if kind in kinds), None)
    values = " ".join(re.findall(r"'([^']*)'", message.partition(":")[2]))
    if not values:
        return message
    return f"{setting} {values} cannot be read" if expected is None else f"{setting} {values} is not {expected}"


def _with_seconds(record: Any, arguments: list[str]) -> list[str]:
    """Replaces times such as 1:02.5, given to settings that are times (`spec.Seconds`), by seconds."""
    times = {f"--{field.name}" for field in dataclasses.fields(record) if Seconds in kinds_of(field.type)}
    replaced: list[str] = []
    for argument in arguments:
        name, equals, value = argument.rpartition("=")
        setting = name if equals else (replaced[-1] if replaced else "")
        if setting in times and ":" in value:
            from pcavs.media.timeline import parse_time

            try:
                argument = f"{name}{equals}{parse_time(value)!r}"
            except ValueError as error:
                raise UsageError(f"{setting} {value} is no time; give seconds, or minutes as in 1:02.5") from error
        replaced.append(argument)
    return replaced


def _with_values(record: Any, arguments: list[str]) -> list[str]:
    """Adds the value that a setting has if it stands alone, such as --label; it is in the metadata of its field."""
    alone = {f"--{field.name}": field.metadata["alone"] for field in dataclasses.fields(record) if field.metadata}
    words: list[str] = []
    for word, following in itertools.pairwise([*arguments, "--"]):
        words += [word, alone[word]] if word in alone and following.startswith("--") else [word]
    return words


def _check_settings(record: Any, arguments: list[str], name: str) -> None:
    """Raises a `UsageError` of one line for unknown and missing settings; tyro would print a box of several lines."""
    long = [each for each in arguments if each.startswith("--") and each != "--"]
    given = {each.partition("=")[0][2:].replace("_", "-") for each in long}
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(record)}
    for setting in sorted(given - set(fields)):
        close = unknown_setting(f"--{setting}", [f"--{key}" for key in fields])
        raise UsageError(f"{close}; see pcavs {name} --help")
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [f"--{key}" for key in required if key not in given]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}; see pcavs {name} --help")


def _tyro_message(text: str) -> str:
    """Extracts the first sentence from the box in which tyro prints an error."""
    lines = [line for line in text.splitlines() if not line.startswith("\u256d")]
    inner = " ".join(re.sub("[\u2500-\u257f]+|-{5,}", " ", "\n".join(lines)).split())
    return re.split(r"\.? (?:Got errors|Argument helptext|For full helptext)", inner)[0]


def _load(location: str) -> Any:
    """Imports what is at `module:name`."""
    module, _, name = location.partition(":")
    return getattr(importlib.import_module(module), name)


def _load_run(command: Command) -> Callable[..., Any]:
    """Loads the function of a command; names the extra to install if a package is missing."""
    try:
        return _load(command.run)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF:
            raise
        raise PcavsError(f"{package} is not installed; run {install_hint(_EXTRA_OF[package])}") from error


def _run_and_print(options: Any, command: Command) -> int:
    """Runs a command and prints its result."""
    result = _load_run(command)(options)
    sys.stdout.write(f"{_as_text(result)}\n")
    return 0


def _as_text(result: Any) -> str:
    """Formats the result of a command: a dict as JSON, a list as lines, a named tuple as counts, a run as its path."""
    if isinstance(result, dict):
        return json.dumps(result, indent=1)
    if isinstance(result, list):
        return "\n".join(str(each) for each in result)
    if hasattr(result, "_asdict"):
        return ", ".join(f"{value} {key}" for key, value in result._asdict().items())
    return str(getattr(result, "path", result))


def _animate(options: AnimateOptions, command: Command) -> int:
    """Runs `animate` with a progress bar and prints its summary."""
    run = _load_run(command)
    with _progress_bar(shown=not options.quiet and sys.stderr.isatty()) as progress:
        summary = run(options, progress)
    if options.json:
        sys.stdout.write(json.dumps(dataclasses.asdict(summary)) + "\n")
    elif not options.quiet:
        sys.stdout.write(summary.line() + "\n")
    return 0


def _train(options: Any, command: Command) -> int:
    """Runs `train`, with a bar on a terminal and a line now and then elsewhere, and prints the last checkpoint."""
    run = _load_run(command)
    with _training_bar(shown=sys.stderr.isatty() and not options.dry_run) as show:
        result = run(options, show)
    sys.stdout.write(f"{_as_text(result)}\n")
    return 0


def _doctor(options: Any, command: Command) -> int:
    """Runs `doctor` and prints its report; the exit code is 1 if there are problems."""
    report = _load_run(command)(options)
    text = json.dumps(report, indent=1) if options.json else "\n".join(_load("pcavs.doctor:lines")(report))
    sys.stdout.write(text + "\n")
    return EXIT_ERROR if report["problems"] else 0


def _check(options: Any, command: Command) -> int:
    """Runs a command that checks something and prints its report; the exit code is 1 if a check failed."""
    report = _load_run(command)(options)
    sys.stdout.write("\n".join(report.lines) + "\n")
    return 0 if report.ok else EXIT_ERROR


def _serve(options: Any, command: Command) -> int:
    """Runs a command that says itself what it does."""
    return _load_run(command)(options)


def _verify(options: Any, command: Command) -> int:
    """Runs `verify` and prints its result; the exit code says what was found."""
    result = _load_run(command)(options)
    text = json.dumps(result.to_json(), indent=1) if options.json else "\n".join(result.lines())
    sys.stdout.write(text + "\n")
    return result.exit_code


_RUNNERS: Final[dict[str, Callable[[Any, Command], int]]] = {
    "animate": _animate,
    "batch": _check,
    "compare": _check,
    "doctor": _doctor,
    "live": _serve,
    "serve": _serve,
    "train": _train,
    "verify": _verify,
    "worker": _serve,
    "weights parity": _check,
    "weights verify": _check,
}
"""Commands that print more than their result; `_run_and_print` runs the others."""


@contextlib.contextmanager
def _progress_bar(*, shown: bool) -> Generator[Callable[[str, int, int], None]]:
    """Yields a progress callback that draws a bar with the remaining time on stderr, one for each activity."""
    if not shown:
        yield lambda activity, done, total: raise_if_stopped()
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(activity: str, done: int, total: int) -> None:
            raise_if_stopped()
            if activity not in tasks:
                tasks[activity] = bar.add_task(activity, total=total)
            bar.update(tasks[activity], completed=done, total=total)

        yield progress


@contextlib.contextmanager
def _training_bar(*, shown: bool) -> Generator[Callable[[Any], None] | None]:
    """Yields what draws a bar with loss and remaining time on stderr for each stage; None if nothing is drawn."""
    if not shown:
        yield None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[state]}"),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(pace: Any) -> None:
            if pace.stage not in tasks:
                tasks[pace.stage] = bar.add_task(pace.stage, total=pace.steps, state="")
            loss = "" if pace.loss is None else f"loss {pace.loss:.4g}, "
            bar.update(tasks[pace.stage], completed=pace.step, state=f"{loss}{pace.left()} left")

        yield show


class _StderrHandler(logging.Handler):
    """Prints log messages to stderr, each warning once.

    It looks `sys.stderr` up for each message, because a progress bar replaces it while it is drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self._printed:
                return
            self._printed.add(text)
            text = f"{record.levelname.lower()}: {text}"
        sys.stderr.write(f"pcavs: {text}\n")


def _configure_logging(options: Any) -> None:
    """Sends the package's log to stderr: information and warnings; for `animate` warnings, or errors if `--quiet`."""
    level = logging.INFO
    if isinstance(options, AnimateOptions):
        level = logging.ERROR if options.quiet else logging.WARNING
    logging.basicConfig(level=logging.WARNING, handlers=[_StderrHandler()], force=True)
    logging.getLogger("pcavs").setLevel(level)
