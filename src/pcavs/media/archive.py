"""Says how a damaged archive of arrays (.npz) is recognised."""

import lzma
import struct
import zipfile
import zlib
from typing import Final

ARCHIVE_ERRORS: Final = (
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,  # an entry that claims to be encrypted, or compressed by an unknown method
    struct.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise for a damaged archive of arrays (.npz), beside `OSError`."""
