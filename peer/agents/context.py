"""What a handler is given besides the message: `ctx`. All that it does becomes the step, or never was."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from peer import errors
from peer.agents import question as questions
from peer.agents.approval import PERSON_TOOL, Approval, Wanted, asked_of
from peer.agents.earlier import EarlierRun
from peer.agents.envelope import REQUEST, RETIRE, sealed
from peer.agents.every import checked_seconds, checked_timer_key
from peer.agents.group import Group, group_of, grouped_of
from peer.agents.kinds import path_of_agent
from peer.agents.licence import Licence
from peer.agents.making import Making, Origin, check_name, made_options
from peer.agents.question import Open, Question, checked_then, state_key, timer_key
from peer.agents.reporting import Reporting
from peer.agents.saga import Saga, SagaScope, saga_of
from peer.agents.spaces import Space, Spaces
from peer.agents.state import Tracked
from peer.agents.tool import PURE, Tool, encode_args
from peer.values import payload
from peer.values.brief import brief
from peer.values.fields import text
from protocol.ids import AgentId, StepId
from protocol.limits import NEVER_US
from protocol.step import Grouped, Hold, Input, OutputDraft, Request, RollbackDraft

CallTool = Callable[[Tool[..., Any], tuple[Any, ...], dict[str, Any], str | None], Awaitable[Any]]


@dataclass
class Context(Reporting):
    """One run of one handler."""

    agent: AgentId
    step: StepId
    """This step, if it comes to stand: put it into messages so that others can name it."""
    input: Input
    run: Tracked
    spaces: Spaces
    call_tool: CallTool
    licence: Licence
    outputs: list[OutputDraft] = field(default_factory=list)
    cancels: dict[str, None] = field(default_factory=dict)
    """Keys of timers that are not to come."""
    rollbacks: list[RollbackDraft] = field(default_factory=list)
    confidence: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    model: str = ""
    question: Question | None = None
    """The question that this message is, for `reply`, now or from a later step; None if nobody waits for an answer."""
    owner: type = object
    """The agent's class."""
    asked: int = 0
    """How many questions this step has asked."""
    called: int = 0
    """How many tools it has called so far."""
    wants: Callable[[Tool[..., Any], tuple[Any, ...], dict[str, Any]], None] = lambda tool, args, kwargs: None
    """Told of a call that is to be made when the step is long over."""
    origin: Origin = field(default_factory=Origin)
    """How the agent has come to be."""
    spoken_for: Any = None
    """The agent itself."""
    backwards: bool = False
    """What this run does not send or call any more is undone in reverse causal order (EF-6)."""
    look_back: Callable[[], tuple[EarlierRun, ...]] = tuple
    """Looks up the earlier runs of the input."""

    @property
    def attempt(self) -> int:
        """1 at first, and one more each time that a rollback has the input handled again."""
        return self.input.attempt

    @property
    def evidence(self) -> Any:
        """What a rollback with `retry` gave along, to do better by: any value, or None."""
        if not self.input.evidence:
            return None
        return payload.decode(self.input.evidence)

    @property
    def earlier_runs(self) -> tuple[EarlierRun, ...]:
        """The runs of this input that were undone, oldest first: what each did, and why, and by whom, it was undone.

        At most 16, the newest; those before the oldest checkpoint are compacted. No step depends on what it shows.

        Raises: CallerError, once the handler has returned.
        """
        self.run.check_lives("look at its earlier runs")
        return self.look_back()

    @property
    def sender(self) -> AgentId:
        """Who sent the message; `ext:SOURCE` if it came from outside."""
        return self.input.sender

    def send(self, receiver: AgentId, message: Any, *, key: str | None = None) -> None:
        """Send a message when this step is durable.

        Args:
            receiver: an agent's name.
            message: a Struct, a dataclass or a builtin value.
            key: names the output across re-runs; without it equal outputs are matched, then those in the same place.

        Raises: CallerError, for what is no name or key; PayloadUnsupported, PayloadTooLarge, naming the field that does
            not fit or would not arrive as it is.
        """
        name = text("receiver", receiver, is_empty_ok=False)
        self.run.check_may(f"send to {name}")
        named = None if key is None else text(f"key of a message to {name}", key)
        self.outputs.append(OutputDraft(name, payload.encode_message(message), named))

    def after(self, seconds: float, message: Any, *, key: str | None = None) -> None:
        """Set a timer: the agent itself gets the message once so much time has passed since this step.

        It outlasts restarts; what fell due meanwhile comes then. If this step is undone it does not come.

        Args:
            seconds: how long to wait; 0 or more.
            message: as for `send`; a handler of this agent's takes it.
            key: names the timer, so that a later step can cancel it or set it anew: what was set under the key before
                does not come any more.

        Raises: CallerError, for what is no time or key; PayloadUnsupported, PayloadTooLarge.
        """
        self.run.check_may("set a timer")
        named = None if key is None else checked_timer_key(key)
        self.set_timer(checked_seconds("seconds", seconds), payload.encode_message(message), named)

    def cancel(self, key: str) -> None:
        """Call off what is set under a key and was not handled yet, by this step or an earlier one; maybe nothing is.

        If this step is undone, what it has called off is set again.

        Raises: CallerError, for what is no key.
        """
        self.run.check_may("cancel a timer")
        self.unset_timer(checked_timer_key(key))

    def ask(
        self, agent: AgentId, message: Any, *, then: str | Callable[..., Any], timeout: float | None = None,
    ) -> None:  # fmt: skip
        """Ask another agent. What it replies, or that it has not in time, comes as an input of this agent's own.

        No step waits inside: `then(self, answer, ctx)` handles an `Answer` in a step of its own, as any handler.

        Args:
            agent: who is asked. Its handler of this type of message calls `ctx.reply`.
            message: as for `send`.
            then: a method of this agent's, or its name.
            timeout: how many seconds to wait; what comes later is dropped, and told. None: for as long as it takes.

        Raises: CallerError, for what is no name, method or time; PayloadUnsupported, PayloadTooLarge.
        """
        questions.ask(self, agent, message, then, timeout)

    def reply(self, value: Any, *, to: Question | None = None) -> None:
        """Answer a question; the asker takes the first answer.

        Args:
            value: any value, or a Struct or dataclass as for `send`.
            to: an earlier `ctx.question`; None: the message at hand.

        Raises: CallerError, if nobody has asked; PayloadUnsupported, PayloadTooLarge.
        """
        questions.reply(self, value, to)

    def spawn(self, name: AgentId, kind: type, **options: Any) -> AgentId:
        """Make another agent once this step is durable; the runtime finds it a host.

        It handles what is sent to it from then on, over restarts, and all that it does hangs on this step: whoever
        undoes this step undoes that, too, and the agent is there no more. A re-run that makes it makes it anew.

        Args:
            name: unique in the cluster, for good: also a retired agent keeps its name. If it is taken, what would have
                made the agent is a dead letter, and whoever has the name gets what is sent to it.
            kind: the agent's class, as hosts can import it.
            options: plain values, passed to the class.

        Returns: the name, to send to.

        Raises: CallerError, for what is no name or class; PayloadUnsupported, PayloadTooLarge, for options.
        """
        named = check_name(name, self.agent)
        self.run.check_may(f"make {named}")
        path = path_of_agent(kind)
        making = Making(path, made_options(options), self.origin.place(named, path))
        self.outputs.append(OutputDraft(named, making.sealed()))
        return named

    def retire(self, name: AgentId | None = None) -> None:
        """Have an agent handle nothing any more after what it was sent before; without a name this one.

        What it gets later is a dead letter. If this step is undone the agent is back, and handles those.

        Raises: CallerError, for what is no name.
        """
        receiver = self.agent if name is None else text("name", name, is_empty_ok=False)
        self.run.check_may(f"retire {receiver}")
        self.outputs.append(OutputDraft(receiver, sealed(RETIRE, None)))

    def take_open(self, name: str) -> Open | None:
        """Return an open question, which is closed with this step; None if it is closed already."""
        data = self.run.read(state_key(name))
        if data is None:
            return None
        self.run.write(state_key(name), None)
        self.unset_timer(timer_key(name))
        found: Any = payload.decode(data)
        return Open(*found)

    def set_timer(self, seconds: float, data: bytes, key: str | None) -> None:
        """Set a timer, in place of what this step has set under its key."""
        self._unset_own(key)
        self.outputs.append(OutputDraft(self.agent, data, key, round(seconds * 1_000_000)))

    def unset_timer(self, key: str) -> None:
        """Call off what is set under a key."""
        self._unset_own(key)
        self.cancels[key] = None

    def _unset_own(self, key: str | None) -> None:
        self.outputs[:] = [out for out in self.outputs if key is None or out.after_us is None or out.key != key]

    async def call(self, tool: Tool[..., Any], /, *args: Any, key: str | None = None, **kwargs: Any) -> Any:
        """Call a tool, at most once for what this step stands for, however often it is run.

        Args:
            tool: declared by `@tool`.
            key: names the call among those of this tool in this step, for handlers that may word arguments differently.

        Several may be awaited at once: each is a call of its own. One that is no longer awaited runs to its end all the
        same, and its effect belongs to this step, or to the input's next attempt.

        Raises: EffectInDoubt, if nobody can tell whether it happened; ToolFailed, if it did not, with what the tool
            raised; ResultLost, if what it returned can't be stored; NotInTier, if the agent may not use it.
        """
        self.run.check_may("call a tool")
        if not isinstance(tool, Tool):
            raise errors.CallerError(
                f"{brief(tool)} is not a tool, so nobody could undo it. Declare it with @tool(...)."
            )
        self.licence.called(str(self.step), self._wanted(tool, args, kwargs), tool)
        self.called += 1
        named = None if key is None or tool.kind == PURE else text(f"key of a call of {tool.name}", key)
        return await self.call_tool(tool, args, kwargs, named)

    def request(
        self, tool: Tool[..., Any], /, *args: Any, then: str | Callable[..., Any], key: str | None = None,
        timeout: float | None = None, approval: Approval | None = None, group: Group | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Have a tool called for this step, and go on; what comes of it is an input of this agent's own.

        It is called when the step is durable. One that is irreversible is let go only when the step is settled: inside
        a committed checkpoint, and in no undecided rollback; or when somebody releases it (`cluster.release`). Until
        then undoing the step just forgets it; from then on this agent rejects rollbacks that hold the step.

        Args:
            tool: declared by `@tool`, of any kind but `pure`. The only way to an irreversible one.
            then: a method of this agent's, or its name: `then(self, result, ctx)` handles a `Result`.
            key: names the request, so that a later step can call it off by `ctx.cancel(key)` before it is let go.
            timeout: seconds within which it must have been let go; else `result.error` says that it was not called.
                None: however long that takes.
            approval: who is to be asked before; None: as the class's `approvals` and its tier say.
            group: of which this agent is a member: it is let go together with what the others request in it, or not at
                all. Any kind of tool; by the group alone, so nobody releases it before.

        Raises: CallerError, for what is no tool, method, key or time, or can't be an argument; NotInTier.
        """
        if not isinstance(tool, Tool) or tool.kind == PURE:
            raise errors.CallerError(
                f"{brief(tool)} is no tool with an effect. Nothing was requested. Call it: ctx.call."
            )
        self.run.check_may(f"request {tool.name}")
        tool.check_call(kwargs)
        wait_us = NEVER_US if timeout is None else round(checked_seconds("timeout", timeout) * 1_000_000)
        hold = self.licence.requested(str(self.step), self._wanted(tool, args, kwargs), tool, approval)
        self.wants(tool, args, kwargs)
        grouped = None if group is None else grouped_of(group, self.agent)
        self._requested(then, key, wait_us, tool, encode_args(args, kwargs), hold, grouped)

    def group(self, name: str, members: Sequence[AgentId], *, deadline: float | None = None) -> Group:
        """Make a group of agents whose requests in it are let go together, or none is; put it into messages to them.

        A member is ready once each request that it has made in the group might go by itself. When all are, all are let
        go. If one is rejected, called off or out of time before, none is, and each `result.error` says whose and why.

        Args:
            name: names it among this step's groups.
            members: the agents' names, each once; this one need not be among them.
            deadline: seconds within which a member is to be ready once it has heard of the group. None: without end.

        Raises: CallerError, for what is no name or time.
        """
        self.run.check_lives("make a group")
        return group_of(self.step, name, members, deadline)

    def ask_person(
        self, question: str, *, then: str | Callable[..., Any], to: str | tuple[str, ...] = (), options: Any = (),
        about: Any = None, key: str | None = None, deadline: float | None = None, default: Any = None,
        escalate: Mapping[float, str | tuple[str, ...]] | None = None,
    ) -> None:  # fmt: skip
        """Ask a person, and go on; the answer is an input of this agent's own, as that of a request.

        The question waits in the inbox (`cluster.inbox`, `ebbtide inbox`), over restarts, until somebody entitled has
        answered. If this step is undone so is the question, and whoever answers then is told so.

        Args:
            question: for people.
            then: a method of this agent's, or its name: `then(self, result, ctx)` handles a `Result`.
            to: persons or roles that may answer. Empty: anybody who may use the cluster.
            options: the values that an answer may have. Empty: any.
            about: any value that people are shown with it.
            key: names the question, for `ctx.cancel`.
            deadline: seconds after which nobody is waited for any more. None: it waits on.
            default: the answer then; None: `result.error` says that nobody has answered.
            escalate: by seconds, who may answer from then on, too.

        Raises: CallerError, for what is no method, key, time or name; PayloadUnsupported.
        """
        self.run.check_may("ask a person")
        given, hold = asked_of(question, to, options, about, deadline, default, escalate or {})
        self._requested(then, key, NEVER_US, PERSON_TOOL, given, hold)

    def _requested(
        self, then: str | Callable[..., Any], key: str | None, wait_us: int, tool: Tool[..., Any], given: bytes,
        hold: Hold | None, group: Grouped | None = None,
    ) -> None:  # fmt: skip
        handler = checked_then(self.owner, then)
        named = None if key is None else checked_timer_key(key)
        self._unset_own(named)
        said = sealed(REQUEST, [handler, tool.name, given])
        wanted = Request(tool.name, tool.kind, given, tool.check is not None, None, hold, group)
        self.outputs.append(OutputDraft(self.agent, said, named, wait_us, wanted))

    def _wanted(self, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Wanted:
        return Wanted(tool.name, tool.kind, args, kwargs, self.agent, self.confidence)

    def saga(
        self, saga: str | Saga, *, failed: str | Callable[..., Any] | None = None, deadline: float | None = None,
        checks: Sequence[str | Callable[..., Any]] = (), within: SagaScope | None = None,
    ) -> SagaScope:  # fmt: skip
        """Begin a saga with this step, or go on with one: work that is finished as a whole, or undone as a whole.

        All that follows from this step, at whichever agent and however late, belongs to it. `await saga.commit()` ends
        it, in any later step of this agent. `saga.fail(why)` undoes it, here or at whoever has joined; so does what
        raises inside `async with ctx.saga(...) as saga:`, and the deadline.

        Args:
            saga: a name, which this agent has for one saga at a time; or what an agent has put into a message, to join.
            failed: a method `(self, failed, ctx)` that handles the message at hand once more, as a `SagaFailed`.
            deadline: seconds after which it fails if it is not committed.
            checks: methods `(self, ctx) -> bool | str` that say, before it is committed, True or why not.
            within: another of this agent's sagas, which can't be committed before this one is over.

        Raises: CallerError, for what is no name, method or time, or no open saga.
        """
        return saga_of(self, self.spoken_for, saga, failed, checks, deadline, within)

    def space(self, name: str) -> Space:
        """Return a shared space that the agent's class takes part in."""
        return self.spaces.open(name)
