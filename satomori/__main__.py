"""`python -m satomori`."""

from satomori.cli import main

main()
