"""`python -m unspool` is the command line."""

from unspool.cli.app import main

main()
