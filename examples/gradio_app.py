"""A page with photo, voice and head motion, for a demonstration or a Space; it needs Gradio: pip install gradio.

python examples/gradio_app.py [PORT] serves it on this machine only, port 7860.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when it is imported

import gradio as gr

import pcavs
from pcavs.errors import PcavsError
from pcavs.pose.presets import PRESETS

EXAMPLES = Path(__file__).parent
OWN = "as in the photo"
load = functools.cache(pcavs.load)


def speak(photo: str, voice: str, preset: str, head: str, smile: float, full_frame: bool) -> tuple[str, str]:
    """Returns the path of a film, and notes. What a visitor types never names a file of this machine."""
    if not photo or not voice:
        raise gr.Error("Give a photo and a voice.")
    settings = {"smile": smile, "full_frame": full_frame, "end": 30.0, "label": "AI-generated", "max_side": 1280}
    try:
        film = load().animate(photo, voice, pose=head or (None if preset == OWN else preset), **settings)
        return str(film.save(Path(tempfile.mkdtemp()) / "talk.mp4")), "\n".join(film.notes)
    except PcavsError as error:
        raise gr.Error(str(error)) from error


demo = gr.Interface(
    speak,
    [
        gr.Image(type="filepath", label="Photo of one person", sources=["upload", "webcam", "clipboard"]),
        gr.Audio(type="filepath", label="Voice"),
        gr.Dropdown([OWN, *PRESETS], value="lively", label="Head motion"),
        gr.Video(label="Or the head motion of a video", include_audio=False),
        gr.Slider(-0.5, 1, 0, step=0.1, label="Smile"),
        gr.Checkbox(label="Whole photo"),
    ],
    [gr.Video(label="Film"), gr.Textbox(label="Notes")],
    examples=[[str(EXAMPLES / "face.jpg"), str(EXAMPLES / "speech.wav"), "lively", None, 0, False]],
    cache_examples=False,
    title="PC-AVS: one photo speaks any voice",
    description="Animate only people who agreed to it. Films are cut to 30 s and say that they are synthetic.",
    flagging_mode="never",
    delete_cache=(600, 3600),
)

if __name__ == "__main__":
    system = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}  # no fonts of other hosts
    demo.launch(server_port=int([*sys.argv, "7860"][1]), theme=gr.themes.Default(**system), max_file_size="50mb")
