"""A bundle that answers over HTTP; ftlab/serve_command.py starts it."""
