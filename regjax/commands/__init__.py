"""The sub-commands: a module each, with HELP, `add(parser)` for its arguments and `run(chosen)` for the exit code."""

from types import ModuleType

from regjax.commands import across, analyze, data, explain, export, plan, power, report, run, status

COMMANDS: dict[str, ModuleType] = {
    "plan": plan,
    "run": run,
    "status": status,
    "report": report,
    "power": power,
    "export": export,
    "analyze": analyze,
    "across": across,
    "explain": explain,
    "data": data,
}
