"""`python -m cli`: the same as `stackledger`."""

from cli.main import main

main()
