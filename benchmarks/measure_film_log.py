"""Measures how well a log of films recognises films that were changed, and how near others come.

    python benchmarks/measure_film_log.py FILM... --others FILE... --out FOLDER

FILMs are logged, changed as platforms and editors change films (benchmarks/changed_films.py), and looked up; so are the
FILEs, which are in no log. Prints, for each change, how many were found as which kind, and the largest distances; of
FILEs and of each film against the others the smallest distances. FOLDER gets the log and the last changed film.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

from changed_films import CHANGES, write_changed
from pcavs.errors import PcavsError
from pcavs.provenance.film_log import fingerprints, record_film, search_log
from pcavs.provenance.fingerprint import picture_distance, sound_distance


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    log, changed = args.out / "log.jsonl", args.out / "changed.mp4"
    log.unlink(missing_ok=True)
    began = time.process_time()
    for film in args.films:
        record_film(log, film, "0", "0")
    print(f"{(time.process_time() - began) / len(args.films):.2f} s a film, {log.stat().st_size} bytes")
    known = {film: fingerprints(film) for film in args.films}
    for name, change in CHANGES.items():
        kinds, pictures, sounds = Counter(), [], []
        for film, own in known.items():
            write_changed(film, changed, change)
            match = search_log(log, changed)
            kinds[match.kind if match.sha256 == own.sha256 or match.kind == "none" else "another film"] += 1
            found = fingerprints(changed)
            pictures.append(picture_distance(found.picture, own.picture))
            sounds.append(sound_distance(found.sound, own.sound.phases[0]))
        print(f"{name:40} {dict(kinds)}  picture {max(pictures):.3f}  sound {max(sounds):.3f}", flush=True)
    rivals = dict(known)
    for file in args.others:
        try:
            rivals[file] = fingerprints(file)
        except PcavsError as error:
            print(error)
    kinds = Counter(search_log(log, file).kind for file in rivals if file not in known)
    pairs = [(one, other) for first, one in rivals.items() for second, other in known.items() if first != second]
    pictures = sorted(picture_distance(one.picture, other.picture) for one, other in pairs)
    sounds = sorted(sound_distance(one.sound, other.sound.phases[0]) for one, other in pairs if other.sound.phases)
    print(f"{len(rivals) - len(known)} others: {dict(kinds)}; {len(pairs)} pairs")
    print(f"smallest: picture {pictures[:5]}, sound {sounds[:5]}")


if __name__ == "__main__":
    main()
