"""Fields are the constructor: annotated keyword values with defaults become hyper-parameters, options and the saved card.

annotated = a hyper-parameter, not annotated = a fact of the class.
"""

from __future__ import annotations

import copy
import inspect
from numbers import Integral
from typing import Any, ClassVar, dataclass_transform

from torch import nn

from .errors import Usage, did_you_mean

PLAIN = (bool, int, float, str, type(None))


@dataclass_transform(kw_only_default=True)
class Fields(nn.Module):
    """An nn.Module whose annotated class attributes are its keyword arguments.

    >>> class Line(Fields):
    ...     slope: float = 1.0
    >>> Line(slope=2.0).get_params(), Line()
    ({'slope': 2.0}, Line())
    """

    fields: ClassVar[tuple[str, ...]] = ()
    notes_of_fields: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        own = {name: kind for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)}
        for name in own:
            if name not in cls.__dict__:
                raise TypeError(f"{cls.__name__}.{name} has no default. Every field of a model has one.")
            if name not in cls.fields and any(name in base.__dict__ for base in cls.__mro__[1:]):
                raise TypeError(
                    f"{cls.__name__}.{name} would hide a method or fact of that name. Choose another name for the field."
                )
        cls.fields = (*(f for f in cls.fields if f not in own), *own)
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(cls, name)) for name in cls.fields
        ]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def __new__(cls, *args: Any, **values: Any):
        self = super().__new__(cls)
        nn.Module.__init__(self)
        self.training = False  # until fit says so
        return self

    def __init__(self, **values: Any):
        for name in values:
            if name not in self.fields:
                raise Usage(
                    f"{type(self).__name__} has no field {name!r}. Fields: {', '.join(self.fields) or 'none'}.{did_you_mean(name, self.fields)}"
                )
        for name in self.fields:
            setattr(self, name, values.get(name, copy.copy(getattr(type(self), name))))

    @classmethod
    def kinds_of_fields(cls) -> dict[str, type]:
        """The type of each field, read off its default."""
        return {name: type(getattr(cls, name)) for name in cls.fields}

    @classmethod
    def comments(cls) -> dict[str, str]:
        """The comment that stands beside each field in the source: the help of the command line."""
        found: dict[str, str] = {}
        for kind in reversed(cls.__mro__):
            if not issubclass(kind, Fields) or kind is Fields:
                continue
            try:
                lines = inspect.getsource(kind).splitlines()
            except (OSError, TypeError):
                continue
            for line in lines:
                name, colon, rest = line.strip().partition(":")
                if colon and name in kind.fields and "#" in rest:
                    found[name] = rest.partition("#")[2].strip()
        return found

    def check_fields(self) -> None:
        """Each value of the type of its default (a whole float may stand for an int)."""
        for name, kind in self.kinds_of_fields().items():
            value = getattr(self, name)
            if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
                continue
            if kind in (bool, int, str) and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
                raise Usage(
                    f"{type(self).__name__}({name}={value!r}): a value of type {kind.__name__} is awaited, such as {getattr(type(self), name)!r}."
                )
            if kind is float:
                raise Usage(
                    f"{type(self).__name__}({name}={value!r}): a number is awaited, such as {getattr(type(self), name)!r}."
                )
            if kind is tuple and not alike(value, getattr(type(self), name)):
                raise Usage(
                    f"{type(self).__name__}({name}={value!r}): whole numbers are awaited, such as {getattr(type(self), name)!r}."
                )

    def forget(self) -> None:
        """Leave nothing but the fields."""
        for name in list(self._modules):
            if name not in self.fields:
                del self._modules[name]
        self._parameters.clear()
        self._buffers.clear()

    # ---- what scikit-learn asks of an estimator ------------------------------------------------------------------
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        params = {name: getattr(self, name) for name in self.fields}
        if deep:
            for name, value in list(params.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    params |= {f"{name}__{inner}": v for inner, v in value.get_params().items()}
        return params

    def __sklearn_clone__(self) -> Any:
        from sklearn.base import clone

        twin = type(self)(**{name: clone(value, safe=False) for name, value in self.get_params(deep=False).items()})
        if "recipe" in vars(self):  # that of a preset
            vars(twin)["recipe"] = self.recipe
        return twin

    def set_params(self, **values: Any) -> Any:
        for name, value in values.items():
            outer, _, inner = name.partition("__")
            if outer not in self.fields:
                raise Usage(
                    f"{type(self).__name__} has no field {outer!r}. Fields: {', '.join(self.fields)}.{did_you_mean(outer, self.fields)}"
                )
            if inner:
                getattr(self, outer).set_params(**{inner: value})
            else:
                setattr(self, outer, value)
        return self

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {
            name: getattr(self, name)
            for name in self.fields
            if not same(getattr(self, name), getattr(type(self), name))
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.changed().items())})"


def alike(value: Any, default: tuple) -> bool:
    """Whether a value may stand for a tuple of whole numbers; of other tuples the system itself knows what they may hold."""
    if not default or not all(type(one) is int for one in default):
        return True
    return isinstance(value, tuple | list) and all(isinstance(n, Integral) and not isinstance(n, bool) for n in value)


def same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and not isinstance(a, nn.Module) and bool(a == b))


def parse(name: str, text: str, default: Any) -> Any:
    """A word of the command line -> a value of the default's type.

    >>> parse("hidden", "64,64", (256, 256)), parse("beta", "2", 1.0), parse("pcd", "no", True)
    ((64, 64), 2.0, False)
    """
    try:
        if isinstance(default, bool):
            return {
                "true": True,
                "yes": True,
                "1": True,
                "on": True,
                "false": False,
                "no": False,
                "0": False,
                "off": False,
            }[text.lower()]
        if isinstance(default, tuple):
            inner = default[0] if default else 0
            return tuple(parse(name, part, inner) for part in text.strip("()[]").split(",") if part.strip())
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (KeyError, ValueError):
        raise Usage(f"{name}={text!r}: a value like {default!r} is awaited.") from None
    if default is None:
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            return text
    return text


__all__ = ["Fields", "parse"]
