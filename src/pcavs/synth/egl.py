"""Opens an OpenGL context without a screen through EGL, on a GPU or on the CPU (Mesa's llvmpipe)."""

import ctypes
import ctypes.util
from typing import Any

from pcavs.errors import InputError, install_hint


def moderngl_module() -> Any:
    """Imports moderngl, which is an optional dependency.

    Raises:
        InputError: It is not installed.
    """
    try:
        import moderngl
    except ImportError as error:
        raise InputError(f"rendering needs moderngl; run {install_hint('synth')}") from error
    return moderngl


def open_context() -> Any:
    """Opens an OpenGL context on the first device that EGL offers, a GPU where there is one.

    Raises:
        InputError: moderngl or the EGL drivers are not installed.
    """
    moderngl = moderngl_module()
    if not _count_egl_devices():
        raise InputError("no offscreen OpenGL here; on Debian: apt install libegl1 libgl1-mesa-dri")
    return moderngl.create_context(standalone=True, backend="egl")


def _count_egl_devices() -> int:
    """Counts the devices of EGL; a failure to create a context does not say whether there are any."""
    name = ctypes.util.find_library("EGL")
    if name is None:
        return 0
    library = ctypes.CDLL(name)
    library.eglGetProcAddress.restype = ctypes.c_void_p
    address = library.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not address:
        return 0
    query = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))(address)
    count = ctypes.c_int(0)
    query(0, None, ctypes.byref(count))
    return count.value
