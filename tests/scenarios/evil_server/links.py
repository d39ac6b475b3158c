"""Lies about who asks to be let in: what passes between a new machine and the device that is there (D-05)."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from securechat.membership.linking import (
    LIFETIME,
    NewSide,
    OldSide,
    answer_link,
    ask_to_link,
)
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.mls.randomness import random_bytes
from securechat.protocol.messages import (
    ChangeAccount,
    Done,
    FinishLink,
    GetLink,
    GetLinks,
    LinkAnswer,
    Links,
    LinksChanged,
    LinkStanding,
    NewDevice,
    OpenedLink,
    Refused,
    RequestBody,
    RevealLink,
)
from tests.scenarios.evil_server.falsehood import Falsehood, nothing
from tests.scenarios.evil_server.lies import Lie
from tests.scenarios.evil_server.machines import Machine, a_machine, let_in
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now
from tests.scenarios.test_linking import forged_payload

PATIENT: Final = LIFETIME + 120.0
"""Seconds until a lie about a link is named: a new machine waits five minutes for a person."""

GHOST: Final = "q" * 26
"""A device of the server's own that answers a new machine."""

# --- a machine of the server's own --------------------------------------------------------------------------


def _a_newcomer(stage: Stage, victim: str) -> NewSide:
    """A device of the server's own."""
    keys = stage.person(victim).keys
    return ask_to_link(
        domain=keys.domain,
        user=keys.user,
        client="z" * 26,
        device_key=public_of(new_key()),
        name="your laptop",
        suites=PRODUCT_SUITES,
        salt=keys.login_salt,
    )


def _revealed(new: NewSide) -> NewDevice:
    said = new.newcomer
    return NewDevice(
        said.client.decode(),
        said.device_key,
        said.name.decode(),
        list(said.suites),
        said.salt,
        said.key,
        said.nonce,
    )


def asking_to_be_let_in(*, other: bool) -> Lie:
    """Say that a new device asks; once it is answered it reveals what it promised, or something else."""

    def tell(stage: Stage, victim: str) -> None:
        promised = _a_newcomer(stage, victim)
        shown = _revealed(_a_newcomer(stage, victim) if other else promised)
        link, asked = random_bytes(16), list[GetLinks]()

        def retort(question: GetLinks, _: Any) -> Links:
            asked.append(question)
            device = shown if len(asked) > 1 else None
            commitment = promised.newcomer.commitment
            return Links([OpenedLink(link, commitment, now(), 300, "192.0.2.7", device)])

        stage.liar(victim).retort(GetLinks, retort)
        for second in (0, 1, 2):
            stage.world.loop.call_later(second, stage.liar(victim).say, LinksChanged())

    return tell


# --- a machine of theirs ------------------------------------------------------------------------------------

Between = Callable[[Stage, Machine], None]
"""Begins a lie to somebody who is about to ask from a machine of theirs."""


def of_a_link(lie: Between, *names: str, typed_after: float = 0.0) -> Falsehood:
    """:param names: none: the machine is let in all the same"""

    async def occasion(stage: Stage, victim: str) -> None:
        with a_machine(stage, victim) as machine:
            lie(stage, machine)
            is_in = await let_in(stage, machine, typed_after=typed_after)
            if not names and not is_in:
                stage.world.oracle.complain(f"{victim}'s new machine was not let in")

    return Falsehood(silent, frozenset(names), occasion, PATIENT)


def silent(_: Stage, __: str) -> None:
    """Nothing is said before it begins."""


def to_the_old(change: Callable[[OpenedLink], OpenedLink | None]) -> Between:
    """Tell the device that is there otherwise of each request."""

    def lie(stage: Stage, machine: Machine) -> None:
        def retort(_: GetLinks, true: Any) -> Any:
            if not isinstance(true, Links):
                return true
            told = [change(each) for each in true.links]
            links = Links([each for each in told if each is not None])
            return true if links == true else links

        stage.liar(machine.owner).retort(GetLinks, retort)

    return lie


def to_the_new(change: Callable[[LinkStanding], Any]) -> Between:
    """Tell the new machine otherwise how its request stands."""

    def lie(_: Stage, machine: Machine) -> None:
        def retort(_: GetLink, true: Any) -> Any:
            told = change(true) if isinstance(true, LinkStanding) else true
            return true if told == true else told

        machine.liar.retort(GetLink, retort)

    return lie


def in_its_place(question: type[RequestBody], answer: Any) -> Between:
    """Answer what the device that is there asks, and do nothing of it."""
    return lambda stage, machine: stage.liar(machine.owner).answer(question, answer)


def never_heard(question: type[RequestBody]) -> Between:
    def lie(stage: Stage, machine: Machine) -> None:
        stage.liar(machine.owner).ignore(lambda asked: isinstance(asked, question))

    return lie


class _Relay:
    """Between the two: to each of them the other one, with keys of its own."""

    def __init__(self, stage: Stage, machine: Machine) -> None:
        self._new = _a_newcomer(stage, machine.owner)
        self._keys = stage.person(machine.owner).keys
        self.side: OldSide | None = None

    def as_new(self, opened: OpenedLink) -> OpenedLink:
        device = None if opened.device is None else _revealed(self._new)
        return replace(opened, commitment=self._new.newcomer.commitment, device=device)

    def as_old(self, standing: LinkStanding) -> LinkStanding:
        return replace(standing, answers=[self.answer(each.client, each.name) for each in standing.answers])

    def answer(self, client: str, name: str) -> LinkAnswer:
        self.side = self.side or answer_link(
            domain=self._keys.domain, user=self._keys.user, commitment=bytes(32), client=client, name=name
        )
        return LinkAnswer(client, name, self.side.sibling.key)


def relayed(*, old: bool = False, new: bool = False) -> Between:
    """Stand between the two, for one of them or for both."""

    def lie(stage: Stage, machine: Machine) -> None:
        relay = _Relay(stage, machine)
        if old:
            to_the_old(relay.as_new)(stage, machine)
        if new:
            to_the_new(relay.as_old)(stage, machine)

    return lie


def answered_twice(*, client: str = "") -> Between:
    """Add an answer of the server's own: under a name of its own, or once more under that of the device."""

    def lie(stage: Stage, machine: Machine) -> None:
        relay = _Relay(stage, machine)

        def more(standing: LinkStanding) -> LinkStanding:
            names = [
                (client, "your tablet") if client else (each.client, each.name) for each in standing.answers
            ]
            return replace(standing, answers=[*standing.answers, *(relay.answer(*each) for each in names)])

        to_the_new(more)(stage, machine)

    return lie


def let_in_by_the_server(*, client: str = "") -> Between:
    """Answer the new machine, and pass an account on to it that the server made."""

    def lie(stage: Stage, machine: Machine) -> None:
        relay, revealed = _Relay(stage, machine), list[RevealLink]()

        def heard(asked: RevealLink, true: Any) -> Any:
            revealed.append(asked)
            return true

        def forged(standing: LinkStanding) -> LinkStanding:
            there = [(client or each.client, each.name) for each in standing.answers]
            answers = [relay.answer(*each) for each in there]
            if not revealed or relay.side is None:
                return replace(standing, answers=answers)
            sealed = forged_payload(relay.side, revealed[0])
            return replace(standing, answers=answers, sealed=sealed, sealed_by=answers[0].client)

        machine.liar.retort(RevealLink, heard)
        to_the_new(forged)(stage, machine)

    return lie


def shown_again(_: Stage, machine: Machine) -> None:
    """Go on telling of the request as if its time did not pass."""
    said: list[OpenedLink] = []

    def still(opened: GetLinks, true: Any) -> Any:
        del opened
        if not isinstance(true, Links):
            return true
        said[:] = true.links or said
        return true if true.links or not said else replace(true, links=list(said))

    machine.stage.liar(machine.owner).retort(GetLinks, still)


def without(**fields: Any) -> Callable[[LinkStanding], LinkStanding]:
    return lambda standing: replace(standing, **fields)


def turned_over(standing: LinkStanding) -> LinkStanding:
    if not standing.sealed:
        return standing
    return replace(standing, sealed=standing.sealed[:-1] + bytes([standing.sealed[-1] ^ 1]))


def by_another(standing: LinkStanding) -> LinkStanding:
    return replace(standing, sealed_by=GHOST) if standing.sealed else standing


async def _of_the_last_time(stage: Stage, victim: str) -> None:
    """One machine is let in; the next one is given what was passed on to that."""
    kept: list[LinkStanding] = []

    def noted(standing: LinkStanding) -> LinkStanding:
        kept.extend([standing] if standing.sealed else [])
        return standing

    def replayed(standing: LinkStanding) -> LinkStanding:
        by = standing.answers[0].client if standing.answers else ""
        return replace(standing, sealed=kept[0].sealed, sealed_by=by) if by else standing

    with a_machine(stage, victim) as first:
        to_the_new(noted)(stage, first)
        await let_in(stage, first)
    if kept:
        with a_machine(stage, victim) as second:
            to_the_new(replayed)(stage, second)
            await let_in(stage, second)


_BUSY: Final = Refused(0, "busy", "", retry_after=1)


def _line(tell: Lie, *names: str) -> Falsehood:
    return Falsehood(tell, frozenset(names), nothing)


_LINKS: Final[dict[str, Callable[[], Falsehood]]] = {
    "a device of the server's own": partial(_line, asking_to_be_let_in(other=False), "link_asked"),
    "a device that breaks its promise": partial(_line, asking_to_be_let_in(other=True), "link_refused"),
    "relayed": lambda: of_a_link(relayed(old=True, new=True), "old LinkOver"),
    "another device shown to the one that is there": lambda: of_a_link(relayed(old=True), "old LinkOver"),
    "another key shown to the new one": lambda: of_a_link(relayed(new=True), "old LinkOver"),
    "answered once more, by the same device": lambda: of_a_link(answered_twice(), "old LinkOver"),
    "answered by a second device": lambda: of_a_link(answered_twice(client=GHOST)),
    "the request kept back": lambda: of_a_link(to_the_old(lambda _: None), "new LinkExpired"),
    "the answer kept back": lambda: of_a_link(to_the_new(without(answers=[])), "new LinkExpired"),
    "the revelation kept back": lambda: of_a_link(
        to_the_old(lambda opened: replace(opened, device=None)), "old LinkOver"
    ),
    "what is passed on kept back": lambda: of_a_link(to_the_new(without(sealed=b"")), "new LinkExpired"),
    "a bit of what is passed on turned over": lambda: of_a_link(to_the_new(turned_over), "new LinkUntrusted"),
    "what was passed on to another": lambda: Falsehood(
        silent, frozenset({"new LinkUntrusted"}), _of_the_last_time, PATIENT
    ),
    "passed on by a device that no code was shown for": lambda: of_a_link(
        to_the_new(by_another), "new LinkUntrusted"
    ),
    "approved by the server as the device that is there": lambda: of_a_link(
        let_in_by_the_server(), "new LinkUntrusted"
    ),
    "approved by the server as another": lambda: of_a_link(
        let_in_by_the_server(client=GHOST), "new LinkUntrusted"
    ),
    "refused": lambda: of_a_link(to_the_new(without(refused=True)), "new LinkOver"),
    "lost": lambda: of_a_link(to_the_new(lambda _: Refused(0, "no_link", "")), "new LinkOver"),
    "a code that has died": lambda: of_a_link(
        shown_again, "old LinkOver", "old LinkExpired", typed_after=LIFETIME + 5.0
    ),
    "the approval kept back": lambda: of_a_link(never_heard(ChangeAccount), "link_refused"),
    "never time for the approval": lambda: of_a_link(
        in_its_place(ChangeAccount, _BUSY), "link_refused", "old LinkOver"
    ),
    "never time to pass it on": lambda: of_a_link(
        in_its_place(FinishLink, _BUSY), "link_refused", "old LinkOver"
    ),
    "the approval taken and not done": lambda: of_a_link(
        in_its_place(ChangeAccount, Done()), "link_refused", "old LinkOver"
    ),
    "passed on and not done": lambda: of_a_link(in_its_place(FinishLink, Done()), "new LinkExpired"),
}

LINKS: Final = {f"link: {name}": made for name, made in _LINKS.items()}
"""The lies about a link."""
