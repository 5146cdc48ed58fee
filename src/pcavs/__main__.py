"""Runs the command line as `python -m pcavs`."""

from pcavs.cli import main

if __name__ == "__main__":
    main()
