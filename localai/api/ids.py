"""What an id of ours looks like in a path: whole, so that nothing else is a path of ours."""

from starlette.convertors import Convertor, register_url_convertor


class _Id(Convertor[str]):
    """16 hexadecimal digits."""

    regex = "[0-9a-f]{16}"

    def convert(self, value: str) -> str:
        """As it stands."""
        return value

    def to_string(self, value: str) -> str:
        """As it stands."""
        return value


ID = "{approval_id:id}"
register_url_convertor("id", _Id())
