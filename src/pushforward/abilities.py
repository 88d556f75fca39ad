"""What a model can do: the names of the abilities, of what kind an answer is, and doors that are there only where the model can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .errors import Unable

ABILITIES = ("sample", "log_prob", "bound", "energy", "evidence", "encode", "decode", "complete")
KINDS = {
    "sample": "exact",
    "log_prob": "exact",
    "bound": "lower bound",
    "energy": "unnormalised",
    "evidence": "importance-weighted",
    "encode": "exact",
    "decode": "exact",
    "complete": "exact",
}


P = ParamSpec("P")
R = TypeVar("R")


class Ability(Generic[P, R]):
    """A door that is there only where the model can: `hasattr` stays honest, a missing one says why."""

    def __init__(self, door: Callable[Concatenate[Any, P], R]):
        self.door, self.name, self.__doc__ = door, door.__name__, door.__doc__

    @overload
    def __get__(self, model: None, owner: type) -> Callable[Concatenate[Any, P], R]: ...
    @overload
    def __get__(self, model: object, owner: type) -> Callable[P, R]: ...
    def __get__(self, model: Any, owner: type) -> Any:
        if model is None:
            return self.door
        if (reason := model.reason(self.name)) is not None:
            raise Unable(reason)
        return self.door.__get__(model, owner)


class Told:
    """A value that training sets on a model: kept under a private name, as scikit-learn asks of what is not a parameter."""

    def __init__(self, default: Any, doc: str):
        self.default, self.__doc__ = default, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, model: Any, owner: type) -> Any:
        return self if model is None else model.__dict__.get(self.name, self.default)

    def __set__(self, model: Any, value: Any) -> None:
        model.__dict__[self.name] = value
