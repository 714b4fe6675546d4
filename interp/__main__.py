"""``python -m interp`` and the installed `interp`: the command line. Little is imported before Ctrl-C is taken care of."""

from interp import early


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    early.stand()
    from interp.cli.entry import main as command  # takes some tenths of a second

    command()


if __name__ == "__main__":
    main()
