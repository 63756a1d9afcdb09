"""How arguments become values: text, numbers, flags and paths here, the rest by Typer itself.

Typer builds a pydantic adapter for every parameter, even for one that was not given, and
importing pydantic costs a quarter of a start. What these few types need is a line each.
"""

from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import typer.core
from typer import BadParameter
from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param

_PLAIN = (str, int, float, bool, Path)


class Plain(RuntimeParam):
    """One value or several of str, int, float, bool or Path."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = _kind(self.annotation)
        read = {int: _whole, float: _real}.get(kind, kind)
        try:
            found = [read(each) for each in value] if _is_list(self.annotation) else read(value)
        except ValueError as error:
            raise BadParameter(str(error), ctx=ctx, param=param) from error
        self._check_range(found, param, ctx)
        return found

    def _check_range(self, value: Any, param: Any, ctx: Any) -> None:
        low, high = self.parameter_info.min, self.parameter_info.max
        if low is not None and value < low:
            raise BadParameter(f"{value} is less than {low}.", ctx=ctx, param=param)
        if high is not None and value > high:
            raise BadParameter(f"{value} is more than {high}.", ctx=ctx, param=param)


def install() -> None:
    """Let Typer use this where it can."""
    typer.core.build_runtime_param = _build  # type: ignore[attr-defined]


def _build(descriptor: TypeDescriptor) -> RuntimeParam:
    info = descriptor.parameter_info
    is_ours = _kind(descriptor.annotation) in _PLAIN and info.parser is None
    has_path_checks = any(getattr(info, name, False) for name in ("exists", "resolve_path"))
    if not is_ours or has_path_checks:
        return build_runtime_param(descriptor)
    return Plain(parameter_info=info, annotation=descriptor.annotation)


def _is_list(annotation: Any) -> bool:
    return get_origin(_bare(annotation)) is list


def _kind(annotation: Any) -> Any:
    bare = _bare(annotation)
    return get_args(bare)[0] if get_origin(bare) is list else bare


def _bare(annotation: Any) -> Any:
    if get_origin(annotation) is UnionType:
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a valid integer.") from error


def _real(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a valid number.") from error
    if not isfinite(number):
        raise ValueError(f"{text!r} is not a valid number.")
    return number
