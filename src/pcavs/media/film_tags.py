"""Writes metadata into finished GIF and WebP animations, for which FFmpeg writes none."""

import struct
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

_GIF_TRAILER: Final = b"\x3b"
_GIF_COMMENT: Final = b"\x21\xfe"
"""Introduces a comment extension (GIF89a)."""
_GIF_BLOCK_BYTES: Final = 255
"""Longest block of a comment."""
_WEBP_FLAGS_AT: Final = 20
"""Offset of the flags of a WebP file with the chunk VP8X, which animations have."""
_WEBP_XMP_FLAG: Final = 0x04


def tag_gif(path: Path, tags: dict[str, str]) -> None:
    """Appends the tags to a GIF as a comment, one line for each.

    Raises:
        ValueError: The file is no complete GIF.
        OSError: It cannot be written.
    """
    text = "\n".join(f"{name}: {value}" for name, value in tags.items()).encode()
    blocks = [text[at : at + _GIF_BLOCK_BYTES] for at in range(0, len(text), _GIF_BLOCK_BYTES)]
    comment = _GIF_COMMENT + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != _GIF_TRAILER:
            raise ValueError(f"{path} does not end as a GIF does")
        file.seek(-1, 2)
        file.write(comment + _GIF_TRAILER)


def tag_webp(path: Path, tags: dict[str, str]) -> None:
    """Appends the tags to an animated WebP as an XMP packet: `title` and `comment` as title and description.

    Raises:
        ValueError: The file is no animated WebP.
        OSError: It cannot be written.
    """
    packet = _xmp(tags).encode()
    chunk = b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    with path.open("rb+") as file:
        header = bytearray(file.read(_WEBP_FLAGS_AT + 1))
        if not (header.startswith(b"RIFF") and header.startswith(b"WEBPVP8X", 8)):
            raise ValueError(f"{path} is no animated WebP")
        file.seek(0, 2)
        size = file.tell() - 8 + len(chunk)
        file.write(chunk)
        header[4:8] = struct.pack("<I", size)
        header[_WEBP_FLAGS_AT] |= _WEBP_XMP_FLAG
        file.seek(0)
        file.write(header)


def _xmp(tags: dict[str, str]) -> str:
    def alternative(name: str, value: str) -> str:
        return f'<dc:{name}><rdf:Alt><rdf:li xml:lang="x-default">{escape(value)}</rdf:li></rdf:Alt></dc:{name}>'

    others = "; ".join(f"{name}: {value}" for name, value in tags.items() if name not in ("title", "comment"))
    description = "; ".join(filter(None, (tags.get("comment"), others)))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{alternative('title', tags.get('title', ''))}{alternative('description', description)}"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
