"""Writes tracks without pixels (pcavs.synth.tracks): speech with the lip shapes of rendered heads, for training.

    python scripts/make_tracks.py speak --voices voices.csv --split train --count 500 --out SAID/train
    python scripts/make_tracks.py write --maps lip_maps.npz --said SAID/train --split train --hours 3 --out TRACKS/train
    python scripts/make_tracks.py vary --shards SHARDS/grid --split train --out TRACKS/grid
    python scripts/make_tracks.py pack --tracks TRACKS/train --split train --out PACKS/train

`speak` keeps utterances of the table's voices (recordings, Piper, Kokoro), which take about as long as the speech.
`write` cuts clips of 4 to 8 s from them at several speeds, and from eSpeak NG's speech, which it makes on the way. Both
continue where they were stopped. A file holds 50 clips.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.data.pack import write_packs
from pcavs.data.shard import read_shard
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import FRAME_RATE, FeatureSpec, FlowSpec
from pcavs.synth import lip_maps
from pcavs.synth.script import compose_script
from pcavs.synth.speech import change_speed
from pcavs.synth.tracks import Track, draw_track, load_speech, packed, read_tracks, save_speech, varied, write_tracks
from pcavs.synth.voices import ClipSpeech, espeak_speech, read_voices, table_speech

CLIPS_A_FILE: Final = 50
SECONDS: Final = (4, 8)
"""Range of a clip's length."""
SAID_SECONDS: Final = 9.0
"""Least length of kept utterances where the recordings suffice."""
SPEED: Final = (0.88, 1.14)
"""Range of the factor on the speed and pitch of an utterance."""
PITCH: Final = (0.8, 1.25)
"""Range of the factor on the speed and pitch of a recorded clip: from a man's voice to a woman's, and back."""
FRESH_SHARE: Final = 1 / 3
"""Share of eSpeak NG's clips for which it speaks anew; the others are cut from what it said last, because starting it
takes most of a clip's time."""


def main() -> None:
    """Reads the command line and speaks or writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    speak = commands.add_parser("speak", help="keep utterances of a table's voices")
    speak.add_argument("--voices", type=Path, required=True)
    speak.add_argument("--count", type=int, required=True, help="number of utterances")
    write = commands.add_parser("write", help="write tracks")
    write.add_argument("--maps", type=Path, required=True, help="lip maps of scripts/fit_lip_maps.py")
    write.add_argument("--said", type=Path, help="folder of kept utterances; without it eSpeak NG says everything")
    write.add_argument("--said-share", type=float, default=0.6, help="share of the clips that are cut from them")
    write.add_argument("--hours", type=float, required=True)
    vary = commands.add_parser("vary", help="write tracks of recorded clips at other speeds and pitches")
    vary.add_argument("--shards", type=Path, required=True, help="folder of shards of people who speak")
    vary.add_argument("--copies", type=int, default=2, help="tracks of each clip")
    pack = commands.add_parser("pack", help="turn tracks into packs with speech features, which pcavs train reads")
    pack.add_argument("--tracks", type=Path, required=True, help="folder of files that `write` made")
    for command in (speak, write, vary, pack):
        command.add_argument("--split", choices=("train", "val"), required=True)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.command == "speak":
        keep_speech(arguments)
    elif arguments.command == "pack":
        pack_tracks(arguments)
    elif arguments.command == "vary":
        vary_clips(arguments)
    else:
        write_files(arguments)


def keep_speech(arguments: argparse.Namespace) -> None:
    """Speaks until the folder holds the wanted number of utterances."""
    voices = [voice for voice in read_voices(arguments.voices) if voice.split == arguments.split]
    for number in range(arguments.count):
        path = arguments.out / f"{arguments.seed}_{number:05d}.npz"
        if not path.exists():
            random = np.random.default_rng([arguments.seed, arguments.split == "val", number, 1])
            save_speech(table_speech(voices, SAID_SECONDS, random), path)


def write_files(arguments: argparse.Namespace) -> None:
    """Writes files until they hold the wanted hours."""
    maps, held_out = lip_maps.load(arguments.maps), arguments.split == "val"
    written_s, number = 0.0, 0
    while written_s < arguments.hours * 3600:
        path = arguments.out / f"{arguments.seed}_{number:04d}.npz"
        random = np.random.default_rng([arguments.seed, held_out, number, 2])
        seconds = random.integers(SECONDS[0] * FRAME_RATE, SECONDS[1] * FRAME_RATE + 1, CLIPS_A_FILE) / FRAME_RATE
        if not path.exists():
            said = sorted(arguments.said.glob("[!.]*[0-9].npz")) if arguments.said else []
            tracks, spoken = [], None
            for length in seconds.tolist():
                if said and random.random() < arguments.said_share:
                    speech = load_speech(said[int(random.integers(len(said)))])
                else:
                    if spoken is None or random.random() < FRESH_SHARE:
                        spoken = espeak_speech(held_out, random)
                    speech = spoken
                speech = at_another_speed(speech, random)
                tracks.append(draw_track(compose_script(speech, length, random), maps, held_out, random))
            write_tracks(tracks, path)
        written_s, number = written_s + float(seconds.sum()), number + 1
        print(f"{path.name}: {written_s / 3600:.2f} hours", flush=True)


def vary_clips(arguments: argparse.Namespace) -> None:
    """Writes one file for each shard."""
    for number, shard in enumerate(sorted(arguments.shards.glob("shard-*.tar"))):
        path = arguments.out / f"{arguments.seed}_{number:04d}.npz"
        random = np.random.default_rng([arguments.seed, number, 3])
        tracks = []
        for clip in read_shard(shard):
            if clip.waveform is None or clip.facts["split"] != arguments.split:
                continue
            facts = {"kind": "recording", "voice": clip.facts["speaker"], "language": "", "split": arguments.split}
            original = Track(waveform=clip.waveform, lips=clip.lips, facts=facts)
            tracks += [varied(original, float(random.uniform(*PITCH)), random) for _ in range(arguments.copies)]
        write_tracks(tracks, path)
        print(f"{path.name}: {len(tracks)} clips", flush=True)


def pack_tracks(arguments: argparse.Namespace) -> None:
    """Writes packs of all tracks in a folder; a minute of speech takes about 4 s of one core."""
    features = SpeechFeatures(FeatureSpec(), threads=1)
    clips = (
        packed(track, f"{path.stem}-{number:02d}", arguments.split, features)
        for path in sorted(arguments.tracks.glob("*[0-9].npz"))
        for number, track in enumerate(read_tracks(path))
    )
    for path in write_packs(clips, arguments.out, frame_px=FlowSpec().frame_px, features=features.spec):
        print(path.name, flush=True)


def at_another_speed(speech: ClipSpeech, random: np.random.Generator) -> ClipSpeech:
    """Plays an utterance faster or slower."""
    utterance = change_speed(speech.utterance, float(random.uniform(*SPEED)))
    return dataclasses.replace(speech, utterance=utterance)


if __name__ == "__main__":
    main()
