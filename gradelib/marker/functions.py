"""Judging a learner's function, step by step; the first step that fails is the one that is told.

The steps: it starts, takes the right arguments, returns a tensor, leaves its inputs alone; shape, dtype, device and
values are right, with batches too; it gives the same result twice; gradients flow through it. All of it runs under
`gradelib.marker.guard`, which this module knows nothing of.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradelib._names import nearest
from gradelib.marker.compare import points
from gradelib.marker.diagnosis import Diagnosis, diagnose_formula, general_mistake, same, trial_points
from gradelib.marker.domains import Point, draw, split
from gradelib.marker.exercise import Exercise
from gradelib.marker.failure import Failure, RemoteError
from gradelib.marker.language import UnreadableError, known_name
from gradelib.marker.parser import ascii_text
from gradelib.marker.reading import outside_names, type_name
from gradelib.marker.result import Outcome, State
from gradelib.marker.vocabulary import sentence, shown

_PLAIN = ("pos", "unit")  # in a function exercise these are floats and carry no batch
_CLOSE = 1e-8
_ASK_AXES = "Does a sum or product also run over the batch? Count axes from the end."


class FaultError(Exception):
    """A step failed; the message is for the learner."""

    def __init__(self, text: str, mistake: str | None = None, state: State = "incorrect") -> None:
        super().__init__(text)
        self.outcome = Outcome(state, text, mistake)


class WrongValueError(FaultError):
    """There is no result, or it is not the right one: perhaps it is that of a known mistake."""


@dataclass(frozen=True)
class Case:
    """One call: the arguments by name, the leading shape of the batch, the sizes, and the right result."""

    arguments: Mapping[str, Any]
    batch: tuple[int, ...]
    sizes: Mapping[str, int]
    right: Any = field(repr=False)

    def copies(self, gradients: bool = False) -> dict[str, Any]:
        """The arguments as fresh tensors, so that no call can spoil the next one."""
        return {name: _copy(value, gradients) for name, value in self.arguments.items()}

    def described(self, names: Sequence[str]) -> str:
        """These arguments in words: the shapes of tensors, the values of numbers."""
        return ", ".join(_describe(name, self.arguments[name]) for name in names) or "no arguments"


def function_outcome(function: Callable[..., Any], exercise: Exercise, seed: int = 0) -> Outcome:
    """The verdict on a learner's function at the test cases of `seed`, whatever is set in torch elsewhere."""
    with torch_as_in_the_book():
        try:
            return _Trial(function, exercise, seed).run()
        except FaultError as fault:
            return fault.outcome


@contextlib.contextmanager
def torch_as_in_the_book() -> Iterator[None]:
    """Gradients on, tensors on the CPU and of float64 unless they say otherwise; at the end all is as before."""
    dtype = torch.get_default_dtype()
    with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


class _Trial:
    def __init__(self, function: Callable[..., Any], exercise: Exercise, seed: int) -> None:
        self.function, self.exercise = function, exercise
        self.by_name = exercise.function is None
        self.parameters = self._parameters()
        self.cases = _formula_cases(exercise, seed) if self.by_name else function_cases(exercise, seed)

    def run(self) -> Outcome:
        results = [self._check_case(case) for case in self.cases]
        self._check_repeatable(results[0], self.cases[0])
        self._check_gradients(self.cases[-1])
        return Outcome("correct", self._praise())

    def _praise(self) -> str:
        batched = any(case.batch for case in self.cases)
        return f"Your function is right at {len(self.cases)} test cases{', batches too' if batched else ''}."

    # The signature

    def _parameters(self) -> list[str]:
        """The names of the inputs that the function takes, in its order."""
        asked = ", ".join(self.exercise.inputs)
        try:
            signature = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return list(self.exercise.inputs)
        if any(p.kind is p.VAR_POSITIONAL for p in signature):
            return list(self.exercise.inputs)
        if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in signature):
            raise FaultError(f"Your function takes keyword-only arguments; let it take ({asked}).")
        plain = [p for p in signature if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return self._by_name(plain) if self.by_name else self._by_position(plain)

    def _by_name(self, plain: Sequence[inspect.Parameter]) -> list[str]:
        names: list[str] = []
        for parameter in plain:
            if (name := _input_name(parameter.name, self.exercise)) is not None:
                names.append(name)
            elif parameter.default is not parameter.empty:
                break
            else:
                near = nearest(parameter.name, self.exercise.names)
                hint = f"did you mean {near}?" if near else f"take some of ({', '.join(self.exercise.inputs)})."
                raise FaultError(
                    f"Your function has a parameter {shown(parameter.name)}, which is no input here; {hint}"
                )
        return names

    def _by_position(self, plain: Sequence[inspect.Parameter]) -> list[str]:
        wanted, names = list(self.exercise.inputs), [parameter.name for parameter in plain]
        needed = sum(parameter.default is parameter.empty for parameter in plain)
        if not needed <= len(wanted) <= len(names):
            raise FaultError(
                f"Your function takes {needed} arguments, but it is called with {len(wanted)}: {_listed(wanted)}."
            )
        if names[: len(wanted)] != wanted and sorted(names[: len(wanted)]) == sorted(wanted):
            raise FaultError(f"The order of the arguments is {_listed(wanted)}; yours is {_listed(names)}.")
        return wanted

    # One case

    def _call(self, case: Case, arguments: Mapping[str, Any]) -> Any:
        try:
            return self.function(*(arguments[name] for name in self.parameters))
        except Exception as error:  # whatever a learner's code raises
            failure = error.failure if isinstance(error, RemoteError) else Failure.of(error)
            if failure.kind == shown("NotImplementedError"):
                raise FaultError(sentence("blank"), state="unanswered") from None
            raise WrongValueError(_failure_text(failure, self._inputs(case))) from None

    def _inputs(self, case: Case) -> str:
        return case.described(self.parameters)

    def _check_case(self, case: Case) -> Tensor:
        """The result, which is right; otherwise the fault, or the known mistake behind it."""
        arguments = case.copies()
        try:
            result = self._call(case, arguments)
            self._check_kind(result, case)
            self._check_inputs(arguments, case)
            self._check_result(result.detach(), case)
            return result.detach()
        except WrongValueError as fault:
            known = self._diagnose()
            raise FaultError(*known) if known else fault from None

    def _check_kind(self, result: Any, case: Case) -> None:
        if result is ...:
            raise FaultError(
                "Your function still returns three dots; put your answer in their place.", state="unanswered"
            )
        if result is None:
            raise FaultError("Your function returns None. Did you forget “return”?")
        if not issubclass(type(result), Tensor):
            kind = type_name(result)
            why = {"“generator”": "use “return”, not “yield”", "“coroutine”": "use “def”, not “async def”"}
            why["“tuple”"] = why["“list”"] = "return a single tensor"
            raise FaultError(
                f"Your function returns a {kind}, not a tensor; {why.get(kind, 'compute with torch throughout')}."
            )

    def _check_inputs(self, arguments: Mapping[str, Any], case: Case) -> None:
        for name, value in arguments.items():
            if isinstance(value, Tensor) and not torch.equal(value, case.arguments[name]):
                raise FaultError(f"Your function changes its input {name}. Which line writes into it, with += or x_()?")

    def _check_result(self, result: Tensor, case: Case) -> None:
        right = torch.as_tensor(case.right)
        if result.shape != right.shape:
            raise WrongValueError(self._shape_text(tuple(result.shape), tuple(right.shape), case))
        if result.dtype != right.dtype:
            raise FaultError(
                f"Your result is {_dtype(result)}, but the inputs are {_dtype(right)}. Which step changes the dtype?"
            )
        if result.device.type != "cpu":
            raise FaultError(f"Your result is on the device {result.device}, but the inputs are on the CPU.")
        if not torch.isfinite(result).all():
            raise WrongValueError(
                f"Your result holds NaN or infinity for {self._inputs(case)}. "
                "Which step can divide by zero, or take the log or root of a negative number?"
            )
        if (result - right).abs().max() > _CLOSE * right.abs().max():
            raise WrongValueError(self._value_text(result, right, case))

    def _only_with_batch(self, case: Case) -> bool:
        """Whether calls without a batch went well before this one."""
        return bool(case.batch) and not self.cases[0].batch

    def _shape_text(self, got: tuple[int, ...], wanted: tuple[int, ...], case: Case) -> str:
        if self._only_with_batch(case):
            inputs = self._inputs(case)
            return (
                f"Without a batch your result is right, but for {inputs} it has shape {got}, not {wanted}. {_ASK_AXES}"
            )
        text = f"Your result has shape {got}, but {wanted} is asked for (inputs: {self._inputs(case)})."
        if len(got) != len(wanted):
            return f"{text} Is an axis summed away that should stay, or the other way round?"
        axis = next(i for i in range(len(got)) if got[i] != wanted[i]) - len(got)
        one, other = (_size_name(size, case.sizes) for size in (got[axis], wanted[axis]))
        return f"{text} Axis {axis} has size {one} where {other} belongs. Which axis do you sum over, or transpose?"

    def _value_text(self, result: Tensor, right: Tensor, case: Case) -> str:
        told = getattr(self.function, "names_outside", None)  # of a function in another process
        read_outside = told if isinstance(told, frozenset) else outside_names(self.function)
        if outside := read_outside & set(self.exercise.inputs):
            return f"Your function reads {min(outside)} from outside; take it as an argument."
        if self._only_with_batch(case):
            return f"Without a batch your result is right, but not for {self._inputs(case)}. {_ASK_AXES}"
        wrong = int(((result - right).abs() > _CLOSE * right.abs().max()).sum())
        where = f"{wrong} of {right.numel()} entries are" if right.ndim else "The value is"
        return f"{where} not right for {self._inputs(case)}. Try zeros, ones or identity matrices by hand."

    # What went wrong

    def _diagnose(self) -> Diagnosis | None:
        if self.by_name:
            at = trial_points(self.exercise)
            return diagnose_formula([self._value_at(point) for point in at], self.exercise)
        return self._diagnose_at(self.cases) or self._diagnose_at([case for case in self.cases if not case.batch])

    def _diagnose_at(self, cases: Sequence[Case]) -> Diagnosis | None:
        """The mistake that has the function's values in these cases; a mean over all entries shows without a batch."""
        if not cases:
            return None
        values, right = [self._value(case) for case in cases], [case.right.numpy() for case in cases]
        if same(values, right):
            return None
        for mistake in self.exercise.mistakes:
            if callable(mistake.answer) and same(values, [_result(mistake.answer, case) for case in cases]):
                return Diagnosis(mistake.hint, str(mistake))
        return general_mistake(values, right, [case.sizes for case in cases])

    def _value_at(self, point: Point) -> Any:
        return self._value(Case(_tensors(point, self.exercise), (), point.sizes, None))

    def _value(self, case: Case) -> Any:
        arguments = case.copies()
        return _result(lambda *_: self.function(*(arguments[name] for name in self.parameters)), case)

    # After the values

    def _check_repeatable(self, first: Tensor, case: Case) -> None:
        second = self._call(case, case.copies())
        if not torch.equal(first, second):
            raise FaultError(
                "For the same inputs your function gives two results. What does it remember, or draw at random?"
            )

    def _check_gradients(self, case: Case) -> None:
        needed = self._differentiable(case)
        if not needed:
            return
        arguments = case.copies(gradients=True)
        result = self._call(case, arguments)
        if not result.requires_grad:
            raise FaultError(
                "The values are right, but no gradient flows back to the inputs. "
                "Look for .detach(), .item(), .numpy(), no_grad or a new tensor made from numbers."
            )
        _check_flow(result, {name: arguments[name] for name in needed})

    def _differentiable(self, case: Case) -> list[str]:
        """The inputs that the right answer has a gradient in."""
        if self.by_name:
            used = self.exercise.formula.names & set(self.parameters)
            return [n for n in sorted(used) if isinstance(case.arguments[n], Tensor) and not n.startswith("I_")]
        arguments = case.copies(gradients=True)
        result = self.exercise.reference(*arguments.values())
        tensors = {name: value for name, value in arguments.items() if isinstance(value, Tensor)}
        grads = torch.autograd.grad(result.sum(), list(tensors.values()), allow_unused=True)
        return [name for name, grad in zip(tensors, grads, strict=True) if grad is not None and grad.any()]


def _check_flow(result: Tensor, inputs: Mapping[str, Tensor]) -> None:
    grads = torch.autograd.grad(result.sum(), list(inputs.values()), allow_unused=True)
    for name, grad in zip(inputs, grads, strict=True):
        if grad is None:
            raise FaultError(f"The values are right, but no gradient flows back to {name}. Where is it cut off?")
        if not torch.isfinite(grad).all():
            raise FaultError(
                f"The values are right, but the gradient in {name} is not finite. Which step has no derivative here?"
            )


def _input_name(name: str, exercise: Exercise) -> str | None:
    """The input that a parameter stands for, in Greek or not; None if there is none."""
    try:
        return known_name(ascii_text(name), sorted(exercise.names)).name
    except UnreadableError:
        return None


def _formula_cases(exercise: Exercise, seed: int) -> list[Case]:
    return [
        Case(_tensors(point, exercise), (), point.sizes, exercise.formula.evaluate(point.values()))
        for point in points(exercise.inputs, seed)
    ]


def _tensors(point: Point, exercise: Exercise) -> dict[str, Any]:
    values = point.values()
    return {
        name: int(values[name]) if split(domain)[0] == "dim" else torch.tensor(values[name], dtype=torch.float64)
        for name, domain in point.domains.items()
    }


def function_cases(exercise: Exercise, seed: int = 0) -> list[Case]:
    """The test cases of a function exercise: each kind of batch at two sizes, with the results of its reference."""
    cases = []
    for number, batch in enumerate(exercise.batches):
        for sizes in ({"n": 5, "d": 3}, {"n": 3, "d": 4}):
            arguments = _batched(exercise, batch, sizes, np.random.default_rng([seed, number, sizes["n"]]))
            cases.append(Case(arguments, batch, sizes, exercise.reference(*arguments.values()).detach()))
    return cases


def _batched(
    exercise: Exercise, batch: tuple[int, ...], sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, Any]:
    """One draw for each place in the batch, stacked; plain numbers come from the first draw."""
    draws = [draw(exercise.inputs, sizes, rng).values() for _ in range(int(np.prod(batch)))]
    arguments: dict[str, Any] = {}
    for name, domain in exercise.inputs.items():
        kind = split(domain)[0]
        first = draws[0][name]
        if kind == "dim" or kind in _PLAIN:
            arguments[name] = int(first) if kind == "dim" else float(first)
        else:
            stacked = np.stack([values[name] for values in draws])
            arguments[name] = torch.tensor(stacked.reshape(batch + np.shape(first)), dtype=torch.float64)
    return arguments


def _result(function: Callable[..., Any], case: Case) -> Any:
    """A function's value as an array, None where it has none."""
    try:
        result = function(*case.copies().values())
        array = result.detach().numpy()
    except Exception:  # a mistake may well not run for every shape
        return None
    return array if np.isfinite(array).all() else None


def _copy(value: Any, gradients: bool) -> Any:
    return value.clone().requires_grad_(gradients) if isinstance(value, Tensor) else value


def _describe(name: str, value: Any) -> str:
    has_axes = isinstance(value, Tensor) and value.ndim > 0
    return f"{name} {tuple(value.shape)}" if has_axes else f"{name} = {float(value):.3g}"


def _listed(names: Sequence[str]) -> str:
    return f"({', '.join(names)})"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _failure_text(failure: Failure, inputs: str) -> str:
    if failure.memory:
        return f"Your function needs too much memory for {inputs}. How large is its largest tensor?"
    line = f" in its line {failure.line}" if failure.line else ""
    return f"Your function stopped{line} with {failure.kind}: {failure.message}. It was called with {inputs}."


def _size_name(size: int, sizes: Mapping[str, int]) -> str:
    """`n = 5` for a size that has a name, otherwise the number alone."""
    name = next((name for name, value in sizes.items() if value == size), "")
    return f"{name} = {size}" if name else str(size)
