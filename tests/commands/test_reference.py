"""The reference of commands, and shell completion."""

import shutil
import subprocess
from pathlib import Path

import pytest

from regjax.cli import EXIT_CODES, make_parser
from regjax.commands import COMMANDS
from regjax.commands.completion import SHELLS
from regjax.commands.reference import make_reference

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
# Each defines what its shell needs at completion, then prints candidates.
TRIES = {
    "bash": 'source {file}; complete -p regjax; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); '
    '_shtab_regjax regjax "${{COMP_WORDS[-1]}}" regjax; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "source {file}; complete -C '{words}'",
    "zsh": "autoload -U compinit; compinit -D; source {file}; whence -w _shtab_regjax",
}  # fmt: skip


def test_the_reference_is_current() -> None:
    """docs/commands.md ends with what the parser and the documented keys give."""
    assert DOCUMENT.read_text().endswith(make_reference(make_parser(), EXIT_CODES)), "run: make reference"


def test_every_command_that_takes_json_documents_its_keys() -> None:
    """A command has --json where it has documented keys, and the other way round."""
    for name, module in COMMANDS.items():
        parser = make_parser()._subparsers._group_actions[0].choices[name]  # type: ignore[union-attr, index]
        inner = (
            [p for a in parser._actions for p in (getattr(a, "choices", None) or {}).values()] if name == "data" else []
        )
        takes = any("--json" in option for p in (parser, *inner) for option in p._option_string_actions)
        assert takes == hasattr(module, "KEYS"), name


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_works_in_the_shell(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The script loads in the real shell, and completes commands and flags."""
    from regjax import cli

    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "status" in script
    assert str(Path.home()) not in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script)

    def complete(words: str) -> str:
        command = TRIES[shell].format(file=file, words=words)
        return subprocess.run([shell, "-c", command], capture_output=True, text=True, check=True).stdout

    if shell == "zsh":
        assert "function" in complete("")
    else:
        assert "status" in complete("regjax st")
        assert "--log" in complete("regjax run --l")
        assert "tensorboard" in complete("regjax export out --to ten").split()
