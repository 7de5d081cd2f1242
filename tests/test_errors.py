"""What a notebook shows of an error."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

NOTEBOOK = "from ftlab.errors import UserError\ndef inside():\n    raise UserError('seed=x: no number')\ninside()"


def test_a_notebook_shows_the_message_of_a_user_error_alone_and_frames_of_a_defect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = InteractiveShell()
    shell.run_cell(NOTEBOOK)
    assert capsys.readouterr().out.strip() == "seed=x: no number"
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out
