"""`python -m pcavs` is `pcavs`."""

from pcavs.cli import main

if __name__ == "__main__":
    main()
