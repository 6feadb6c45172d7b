"""`python -m api` is the same program as `provenote`."""

from .cli import main

if __name__ == "__main__":
    main()
