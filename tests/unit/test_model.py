"""The values that every module speaks."""

import inspect

import msgspec
import pytest

from failover_oneshot import model
from failover_oneshot.model import AgentProcess

STRUCTS = [value for _, value in inspect.getmembers(model, inspect.isclass) if issubclass(value, msgspec.Struct)]


@pytest.mark.parametrize("struct", [struct for struct in STRUCTS if struct is not msgspec.Struct])
def test_no_value_changes_once_it_is_made_and_each_field_is_named(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen
    with pytest.raises(TypeError, match="positional"):
        struct(None)


@pytest.mark.parametrize(("status", "busy"), [("busy", True), ("idle", False), ("waiting", False), ("", False)])
def test_an_agent_is_busy_when_its_record_says_so(status: str, busy: bool) -> None:
    assert AgentProcess(pid=1, session_id="s", cwd="/", status=status).busy is busy
