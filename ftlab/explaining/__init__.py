"""Which parts of an input an answer hangs on; command.py is ftlab explain."""
