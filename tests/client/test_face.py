"""One interface for all front ends: what stands in `Face` is what `Client` has and what the socket serves."""

import inspect
import typing
from typing import Any

import pytest

from securechat.client.calls import PARAMETERS, STREAMS, signature, verb
from securechat.client.client import Client
from securechat.client.face import VERBS, Face, own_face
from tests.client.holder import ListHolder, a_message


def shape(owner: type, name: str) -> tuple[list[tuple[str, Any, Any, Any]], Any]:
    """Parameters and result, without what only the wire minds."""
    verb = getattr(owner, name)
    types = typing.get_type_hints(verb)
    parameters = [
        (each.name, each.kind, each.default, types[each.name])
        for each in inspect.signature(verb).parameters.values()
        if each.name != "self"
    ]
    return parameters, types["return"]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_the_clients(name: str) -> None:
    assert shape(Face, name) == shape(Client, name)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_a_method_of_the_socket_with_its_parameters(name: str) -> None:
    made = verb(name)
    assert made.parameters.__struct_fields__ == tuple(signature(name).parameters)
    assert PARAMETERS[name] is made.parameters
    assert not {"self", "events"} & {*made.parameters.__struct_fields__, name}


def test_the_methods_are_the_verbs_and_the_streams() -> None:
    assert list(PARAMETERS) == [*VERBS, *STREAMS]
    assert len(PARAMETERS) == len(set(PARAMETERS))
    assert "events" not in PARAMETERS
    assert "__init__" not in PARAMETERS


async def test_in_the_same_process_every_verb_is_awaited_whatever_it_is_there() -> None:
    holder = ListHolder()
    holder.arrive(a_message(1))
    face = own_face(holder)

    assert await face.unprinted(5) == [a_message(1)]
    assert (await face.send("@bob", "hello", key="k")).text == "hello"
    with pytest.raises(AttributeError):
        _ = face.close  # type: ignore[attr-defined]
