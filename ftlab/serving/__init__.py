"""A bundle that answers over HTTP; command.py starts it."""
