"""`python -m api` is the same program as `provenote`."""

import os


def main() -> None:
    """Run the command line, with one thread for each call of linear algebra.

    Matrices are small here and several files are worked on at once: threads of OpenBLAS would wait for each
    other, spinning, which more than doubles the processor time of a verification on a busy machine. It reads
    this when NumPy is loaded.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
