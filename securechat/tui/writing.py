"""What is being written: a draft for each conversation, the open one's in the composer.

Whatever changes the open conversation takes the draft along, in the same moment: no word that is typed for
one conversation can stand in the composer of another (Q-07).
"""

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import structs

from securechat.client.events import Message
from securechat.names import NameRefused
from securechat.tui.composer import Composer
from securechat.tui.draft import Draft
from securechat.tui.talk import Talk


class Writing:
    """The drafts of one screen."""

    def __init__(self, talk: Talk, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._talk = talk
        self._run = run
        self._composer: Composer | None = None
        self._drafts: dict[str, Draft] = {}
        self._draft = Draft()
        self._read: set[str] = set()
        """Conversations whose stored draft was taken up."""
        self._asked: set[str] = set()
        """Conversations whose stored draft is on its way."""
        self.is_lent = False
        """Whether the draft is in the person's own editor."""

    @property
    def composer(self) -> Composer:
        if self._composer is None:
            raise LookupError("nothing is written before there is a composer")
        return self._composer

    @property
    def now(self) -> Draft:
        """The draft of the open conversation."""
        return structs.replace(self._draft, text=self.composer.text)

    @property
    def editing(self) -> Message | None:
        return self._draft.editing

    @property
    def answering(self) -> Message | None:
        return self._draft.answering

    @property
    def goes_on(self) -> bool:
        """Whether somebody is in the middle of it."""
        return self.is_lent or not self.now.is_empty

    def begin(self, composer: Composer) -> Composer:
        """From here on the draft is in this composer."""
        self._composer = composer
        composer.to = self._talk.current
        return composer

    # --- another conversation --------------------------------------------------------------------

    def turned(self, left: str) -> None:
        """Put the draft of the conversation that is left away, and take up that of the open one."""
        now, name = self.now, self._talk.current
        self.composer.to = name
        if left:
            self._put_away(left, now)
            self._show(self._drafts.pop(name, Draft()))
        # What was written before anything was open stays under the hand that wrote it.
        self.read()

    def read(self) -> None:
        """Take up the draft that is stored, once the conversation is known."""
        name, known = self._talk.current, self._talk.conversation
        if not name or name in self._read:
            return
        if known is not None:
            self._take_in(name, known.draft)
        elif name not in self._asked:
            self._asked.add(name)
            self._run(self._read_kept(name))

    async def _read_kept(self, name: str) -> None:
        """Take up the draft for a conversation that does not exist, or that no list has shown yet."""
        try:
            kept = await self._talk.kept_draft(name)
        except NameRefused:
            return  # nobody can be called so: its first words say that
        self._asked.discard(name)
        if self._talk.current == name and name not in self._read:
            self._take_in(name, kept)

    def _take_in(self, name: str, kept: str) -> None:
        self._read.add(name)
        if kept and not self.goes_on:
            self._show(structs.replace(self._draft, text=kept))
        elif kept:
            self._draft = structs.replace(self._draft, aside=(kept, *self._draft.aside))

    def _put_away(self, name: str, draft: Draft) -> None:
        self._drafts[name] = draft
        if name in self._read:
            self._run(self._talk.keep_draft(name, draft.kept))

    def _show(self, draft: Draft) -> None:
        self._draft = draft
        if draft.text != self.composer.text:
            self.composer.put(draft.text)

    # --- what one does with it -------------------------------------------------------------------

    def answer(self, message: Message | None) -> None:
        """The next message answers this one; None: it answers none."""
        self._draft = structs.replace(self._draft, answering=message)

    def change(self, message: Message) -> None:
        """Write another text for a message; the draft waits."""
        now = self.now
        waits = now.aside if now.editing is not None or not now.text else (*now.aside, now.text)
        self._show(structs.replace(now, text=message.text, editing=message, aside=waits))

    def stop_changing(self) -> None:
        """Leave the message as it is."""
        self._draft = structs.replace(self._draft, editing=None)
        self.composer.put("")
        self.take_up()

    def take_up(self) -> bool:
        """Go on with what was put aside last, if nothing is being written; False if there is nothing."""
        if self.goes_on or not self._draft.aside:
            return False
        *others, last = self._draft.aside
        self._show(structs.replace(self._draft, text=last, aside=tuple(others)))
        return True

    def put(self, name: str, text: str) -> None:
        """Make this the draft of a conversation, open or not."""
        if name == self._talk.current:
            self.composer.put(text)
        else:
            self._put_away(name, structs.replace(self._drafts.get(name, Draft()), text=text))

    def taken(self, name: str, text: str) -> Draft:
        """Return what was written there as it goes out; what was put aside stays."""
        here = name == self._talk.current
        draft = self._draft if here else self._drafts.get(name, Draft())
        rest = Draft(text="" if here else draft.text, aside=draft.aside)
        if here:
            self._draft = rest
        else:
            self._put_away(name, rest)
        return structs.replace(draft, text=text, aside=())

    def give_back(self, name: str, draft: Draft) -> None:
        """Take back what did not go out: into the composer, or aside if something else is written by now."""
        here = name == self._talk.current
        now = self.now if here else self._drafts.get(name, Draft())
        if now.text or now.editing is not None:
            now = structs.replace(now, aside=(*now.aside, draft.text))
        else:
            now = structs.replace(draft, aside=now.aside)
        if here:
            self._show(now)
        else:
            self._put_away(name, now)

    async def keep(self) -> None:
        """Keep the open draft in the store."""
        name = self._talk.current
        if name in self._read:
            await self._talk.keep_draft(name, self.now.kept)
