"""`python -m securechat` is the command `securechat`."""

from securechat.cli.main import main

main()
