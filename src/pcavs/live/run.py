"""Implements `pcavs live`."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import sys
import webbrowser

from aiohttp import web

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.errors import InputError
from pcavs.live.app import LiveApp
from pcavs.live.options import LiveOptions
from pcavs.live.peers import addresses_of, bind_only
from pcavs.live.speech import read_file, speak
from pcavs.live.stage import Stage
from pcavs.types import Waveform

logger = logging.getLogger(__name__)


def live(options: LiveOptions) -> int:
    """Shows the page until it is asked to stop (Ctrl-C, SIGTERM).

    Raises:
        PcavsError: A file, a setting or the address cannot be used.
    """
    addresses = addresses_of(options.host)
    if not all(ipaddress.ip_address(each).is_loopback for each in addresses):
        logger.warning("%s is no loopback address: everyone who reaches it can use the page", options.host)
    bind_only(addresses)
    first = None
    if options.audio is not None:
        first = read_file(options.audio)
    elif options.say is not None:
        first = speak(options.say, options.voice, options.voices)
    listener = _listen(options.host, options.port)
    with contextlib.closing(listener):
        talker = load_talker(options.weights, options.device, threads=1)
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_serve(options, talker, first, listener))
    return 0


async def _serve(options: LiveOptions, talker: Talker, first: Waveform | None, listener: socket.socket) -> None:
    _stop_on_signals()
    avatar = talker.live(
        options.photo,
        pose=options.pose,
        face=options.face,
        size=options.size,
        background=options.background,
        articulation=options.articulation,
        look_ahead=options.look_ahead,
        seed=options.seed,
        label=options.label,
    )
    async with avatar:
        stage = Stage(avatar)
        app = LiveApp(stage, options.host, first, options.voice, options.voices)
        runner = web.AppRunner(app.application(), access_log=None)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            _announce(options, listener.getsockname()[1])
            await stage.run()
        finally:
            await app.close()
            await runner.cleanup()


def _stop_on_signals() -> None:
    """Makes Ctrl-C and SIGTERM end this task, through all `finally` blocks."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C raises KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _announce(options: LiveOptions, port: int) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{port}"
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    if options.open:
        webbrowser.open(url)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InputError(
            f"{host}, port {port}, cannot be listened on ({error.strerror or error}); give another --port"
        ) from error
