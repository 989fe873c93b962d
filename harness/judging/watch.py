"""What an evaluation leaves behind, and the next one would be judged with: found when it ends, and told by its name."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from harness import settings, surroundings
from harness.data.fields import PLURALS
from harness.judging.handed import Frozen, Handed, threads_left
from harness.judging.subject import Subject
from harness.metrics.measure import unusable
from harness.patches import Names

ITS_OWN = {"_others", "readout"}  # of a subject: an evaluation's, or chosen late


class Watch:
    """The evaluations of one method in this process. `ours`: the settings that all are judged in.

    Of all of them, writes that torch counts, modes and settings are found. Of those with code of others, also writes
    around torch, functions of libraries that were replaced, and threads that go on.
    """

    def __init__(self, ours: Mapping[str, Any]) -> None:
        self.ours = ours
        self.handed = Handed()
        self.unsettled = False  # did an evaluation leave what is not seen to be harmless?
        self._frozen: Frozen | None = None
        self._names: Names | None = None
        self._buffers = Handed()

    def share(self, subject: Subject) -> None:
        """Everything that this subject will hand out, but what it has yet to work out."""
        subject.handed = self.handed
        if self._frozen is None:
            self._frozen = Frozen.of(subject.method)
            for weight in subject.method.parameters():
                self.handed.add("weights", weight)
            for buffer in subject.method.buffers():
                self._buffers.add("weights", buffer)
        for name, rows in (("source", subject.source), ("target", subject.target), ("source", subject.learned_from)):
            kind = subject.source.spec.kind if name == "source" else subject.target.spec.kind
            self.handed.add(PLURALS[kind], rows)

    def begin(self, subject: Subject, *, strange: bool) -> None:
        """strange: it is judged with code of others."""
        if strange and self._names is None:
            self._names = Names.now()
            self.handed.seal()
            self._buffers.seal()
        self._strange = strange
        self._attributes = dict(vars(subject))
        self._surroundings = surroundings.kept()
        self._threads = {thread.ident for thread in threading.enumerate()}

    def found(self, subject: Subject) -> str:
        """What the evaluation left behind: "wrote into the labels", or ""; undone as far as it can be."""
        assert self._frozen is not None
        lost = unusable(subject.device)
        if lost:
            self.unsettled = True
            return f"left {subject.device} unusable: {lost}"
        told = [*settings.changed(self.ours), *self._frozen.changed()]
        written = self.handed.written()
        if self._strange and self._names is not None:
            written += self._buffers.written()
            told += [f"replaced {name}" for name in self._names.changed()]
            surroundings.restore(self._surroundings)
            self.unsettled |= threads_left(self._threads)
        if written:
            told.append(f"wrote into the {' and the '.join(dict.fromkeys(written))}")
        told += self._replaced(subject)
        self.unsettled |= bool(told)
        return " and ".join(told)

    def _replaced(self, subject: Subject) -> list[str]:
        """Parts of the subject itself: it is shared, too."""
        now = vars(subject)
        names = [name for name, value in self._attributes.items() if name not in ITS_OWN and now.get(name) is not value]
        names += [name for name in now if name not in self._attributes and name not in ITS_OWN]
        now.update({name: self._attributes[name] for name in names if name in self._attributes})
        return [f"replaced the subject's {name}" for name in names]

    def undo(self) -> None:
        """Make so again what can be, for evaluations that are judged in this process all the same."""
        settings.changed(self.ours)
        if self._names is not None:
            self._names.changed()
