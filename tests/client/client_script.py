"""Flows without a network: a script of answers, and the steps that were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from isletnet.client.calls import Answer, Call, Flow, Patience, Pause, Read, Work
from isletnet.client.errors import ServiceError


def reply(body: Any = None, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, content=json.dumps(body).encode())


def refusal(status: int, code: str = "x", message: str = "No.", **headers: str) -> Answer:
    return reply({"error": {"code": code, "message": message, "request_id": "call-1"}}, status, **headers)


def patience(seconds: float = 60.0, *, met: bool = True) -> Patience:
    """Without chance, and of somebody who has spoken with the service before."""
    made = Patience(seconds, chance=lambda: 1.0)
    made.met = met
    return made


class Script:
    """Answers calls with what it is given, in order, and keeps what happened."""

    def __init__(self, answers: Sequence[Answer | ServiceError | Sequence[bytes | ServiceError]]) -> None:
        self._answers = list(answers)
        self._chunks: list[bytes | ServiceError] = []
        self.calls: list[Call] = []
        self.bodies: list[bytes] = []
        self.pauses: list[float] = []

    def run(self, flow: Flow[Any]) -> Any:
        outcome: Any = None
        while True:
            try:
                step = flow.throw(outcome) if isinstance(outcome, ServiceError) else flow.send(outcome)
            except StopIteration as end:
                assert self._answers == []
                return end.value
            outcome = self._perform(step)

    def _perform(self, step: Any) -> Any:
        match step:
            case Call():
                self.calls.append(step)
                self.bodies.append(_sent(step))
                answer = self._answers.pop(0)
                if isinstance(answer, Answer | ServiceError):
                    return answer
                headers, *chunks = answer
                assert isinstance(headers, Mapping)
                self._chunks = chunks
                return Answer(status=int(headers.get("status", "200")), headers=headers)
            case Read():
                return self._chunks.pop(0) if self._chunks else None
            case Pause(seconds):
                self.pauses.append(seconds)
            case Work(function):
                return function()
        return None

    @property
    def asked(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]


def _sent(call: Call) -> bytes:
    if call.body is None:
        return b""
    content = b"".join(call.body.chunks())
    call.body.sent(len(content))
    assert len(content) == call.body.size_bytes
    return content
