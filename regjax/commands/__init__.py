"""The sub-commands: a module each, with HELP, `add(parser)` for its arguments and `run(chosen)` for the exit code."""

from types import ModuleType

from regjax.commands import (
    across,
    analyze,
    claims,
    compare,
    completion,
    cost,
    data,
    explain,
    export,
    new,
    plan,
    power,
    repair,
    report,
    run,
    schema,
    status,
)

COMMANDS: dict[str, ModuleType] = {
    "new": new,
    "plan": plan,
    "run": run,
    "status": status,
    "report": report,
    "repair": repair,
    "power": power,
    "export": export,
    "analyze": analyze,
    "across": across,
    "compare": compare,
    "claims": claims,
    "cost": cost,
    "explain": explain,
    "data": data,
    "schema": schema,
    "completion": completion,
}
