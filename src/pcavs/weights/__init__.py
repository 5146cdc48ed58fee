"""A talker's weights on disk: where they are, how they are read and written, converted, exported and checked.

A talker has up to two forms: a bundle (`bundle`), which torch runs and trains, and a folder of OpenVINO networks
(`networks`), which animates without torch. `locate` finds both. `convert` makes a bundle of published checkpoints,
whose names only `published` knows; `export` makes networks of a bundle. `show`, `verify` and `parity` look at them.
"""
