"""A world whose server limits no rates: what is tried here is faults, and they come by the thousand."""

from typing import Final

from msgspec.structs import replace

from securechat.server.config import Rate, ServerConfig
from securechat.server.rate_limit import RULES
from tests.scenarios.world import World

NO_LIMIT: Final = 1e12


class PatientWorld(World):
    def config(self) -> ServerConfig:
        return replace(super().config(), rates={rule.name: Rate(NO_LIMIT, NO_LIMIT) for rule in RULES})


def settings_without_limits() -> str:
    """The same for a server's file."""
    tables = (f"[rates.{rule.name}]\nburst = {NO_LIMIT}\nper_second = {NO_LIMIT}\n" for rule in RULES)
    return "\n".join(tables)
