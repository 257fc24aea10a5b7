"""``python -m compgen`` is the ``compgen`` command."""

from compgen.cli import main

if __name__ == "__main__":
    main()
