"""The model library on a real folder."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import gguf_models
import pytest

from localai.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from localai.infer import library as module
from localai.infer.gguf_file import inspect
from localai.infer.library import STARTER, GgufInfo, Library

ACTOR = object()


def _allow(_: object, __: str) -> None:
    """Everybody may."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model where a person keeps it."""
    (tmp_path / "downloads").mkdir()
    return gguf_models.random_llama(tmp_path / "downloads" / "tiny-model.Q8.gguf")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library whose chat model is `tiny-model.Q8`."""
    roles = {"chat": "tiny-model.Q8", "code": ""}
    return Library(tmp_path / "models", _allow, inspect, roles, shipped={})


def test_a_model_is_named_after_its_stem(library: Library, file: Path) -> None:
    """The record is the contract of `--json`."""
    assert asdict(library.add(ACTOR, file)) == {
        "name": "tiny-model.Q8",
        "file": str(file),
        "size_bytes": file.stat().st_size,
        "architecture": "llama",
        "quantization": "F16",
        "context": 2048,
        "roles": ("chat",),
    }


def test_a_link_leaves_the_file_where_it_is(library: Library, file: Path, tmp_path: Path) -> None:
    """Nothing is copied, and `rm` spares the original."""
    library.add(ACTOR, file)
    place = tmp_path / "models/tiny-model.Q8.gguf"
    assert place.readlink() == file
    assert library.file(ACTOR, "tiny-model.Q8") == file
    library.remove(ACTOR, "tiny-model.Q8")
    assert file.exists()
    assert list((tmp_path / "models").iterdir()) == []


def test_a_copy_is_private_whole_and_removed(library: Library, file: Path, tmp_path: Path) -> None:
    """It stands on its own."""
    model = library.add(ACTOR, file, name="mine", copy=True)
    place = tmp_path / "models/mine.gguf"
    assert model.file == str(place)
    assert place.read_bytes() == file.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o600
    assert library.info(ACTOR, "mine").is_copy
    library.remove(ACTOR, "mine")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_relative_path_is_made_absolute(
    library: Library, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link must hold from everywhere."""
    monkeypatch.chdir(file.parent)
    assert library.add(ACTOR, Path(file.name)).file == str(file)


@pytest.mark.parametrize("copy", [True, False])
def test_adding_twice_changes_nothing(library: Library, file: Path, copy: bool) -> None:
    """`ai models add` is safe to repeat."""
    first = library.add(ACTOR, file, copy=copy)
    assert library.add(ACTOR, file, copy=copy) == first
    assert library.page(ACTOR).total == 1


@pytest.mark.parametrize("copy", [True, False])
def test_a_name_is_taken_once(library: Library, file: Path, tmp_path: Path, copy: bool) -> None:
    """Another file under the name is a conflict that names the way out."""
    library.add(ACTOR, file, copy=copy)
    other = gguf_models.random_llama(tmp_path / "other.gguf", seed=8, context=64)
    with pytest.raises(Conflict, match=r"named tiny-model\.Q8") as caught:
        library.add(ACTOR, other, name="tiny-model.Q8")
    assert "--name" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["../up", ".hidden", "", "a/b", "한글", "a b", "a\n"])
def test_a_name_is_a_plain_word(library: Library, file: Path, name: str) -> None:
    """It becomes a file's name; an empty one is the stem."""
    if not name:
        assert library.add(ACTOR, file, name=name).name == "tiny-model.Q8"
        return
    with pytest.raises(Invalid, match="model's name"):
        library.add(ACTOR, file, name=name)


def test_a_missing_file_is_not_found(library: Library, tmp_path: Path) -> None:
    """Also where it is a folder."""
    with pytest.raises(NotFound):
        library.add(ACTOR, tmp_path / "none.gguf")
    with pytest.raises(NotFound):
        library.add(ACTOR, tmp_path, name="folder")


def test_a_broken_file_is_not_registered(library: Library, file: Path, tmp_path: Path) -> None:
    """Neither link nor sidecar stays."""
    broken = gguf_models.truncated(tmp_path / "broken.gguf", file)
    with pytest.raises(Invalid):
        library.add(ACTOR, broken)
    assert library.page(ACTOR).items == []


def test_a_name_nearly_right_is_offered(library: Library, file: Path) -> None:
    """A typo costs one look."""
    library.add(ACTOR, file)
    with pytest.raises(NotFound, match=r"near: tiny-model\.Q8"):
        library.get(ACTOR, "tinymodel.Q8")
    with pytest.raises(NotFound) as caught:
        library.get(ACTOR, "../../etc/passwd")
    assert caught.value.hint == "ai models list"


def test_info_says_more(library: Library, file: Path) -> None:
    """What the header knows."""
    library.add(ACTOR, file)
    info = library.info(ACTOR, "tiny-model.Q8")
    assert (info.title, info.has_template, info.is_copy) == ("tiny-model.Q8", True, False)
    assert info.parameters > 1000


def test_a_file_that_vanished_is_listed_and_named(library: Library, file: Path) -> None:
    """It can be removed, and until then says what to type."""
    added = library.add(ACTOR, file)
    file.unlink()
    assert library.page(ACTOR).items == [added]
    for ask in (library.info, library.file):
        with pytest.raises(Unavailable, match=str(file)) as caught:
            ask(ACTOR, "tiny-model.Q8")
        assert "ai models rm tiny-model.Q8" in str(caught.value.hint)
    library.remove(ACTOR, "tiny-model.Q8")
    assert library.page(ACTOR).total == 0


def test_a_vanished_file_without_sidecar_is_still_listed(
    library: Library, file: Path, tmp_path: Path
) -> None:
    """Its size is not known any more."""
    library.add(ACTOR, file)
    (tmp_path / "models/tiny-model.Q8.json").unlink()
    file.unlink()
    (model,) = library.page(ACTOR).items
    assert (model.architecture, model.size_bytes, model.file) == ("unreadable", 0, str(file))


def test_a_header_is_read_once_until_the_file_changes(tmp_path: Path, file: Path) -> None:
    """Listing costs no reader; a file replaced in place is read again."""
    read: list[Path] = []

    def counting(path: Path) -> GgufInfo:
        read.append(path)
        return inspect(path)

    library = Library(tmp_path / "models", _allow, counting, {}, shipped={})
    library.add(ACTOR, file)
    library.page(ACTOR)
    assert len(read) == 1
    gguf_models.random_llama(file, context=64)
    os.utime(file, ns=(1, 1))
    assert library.get(ACTOR, "tiny-model.Q8").context == 64
    assert library.get(ACTOR, "tiny-model.Q8").context == 64
    assert len(read) == 2


def test_a_file_that_broke_later_is_listed(library: Library, file: Path) -> None:
    """So that it can be seen and removed."""
    library.add(ACTOR, file)
    gguf_models.garbage(file, 100)
    (model,) = library.page(ACTOR).items
    assert (model.architecture, model.size_bytes) == ("unreadable", 100)


def test_a_file_put_into_the_folder_is_a_model(
    library: Library, file: Path, tmp_path: Path
) -> None:
    """`models.dir` may be a folder of models; we remove none that we did not put there."""
    (tmp_path / "models").mkdir()
    shutil.copy(file, tmp_path / "models/dropped.gguf")
    shutil.copy(file, tmp_path / "models/not a name.gguf")
    assert [model.name for model in library.page(ACTOR).items] == ["dropped"]
    with pytest.raises(Conflict, match="by hand"):
        library.remove(ACTOR, "dropped")
    assert (tmp_path / "models/dropped.gguf").exists()


def test_a_disk_without_room_takes_no_copy(
    library: Library, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Checked before the first byte; a link needs no room."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match="1,000"):
        library.add(ACTOR, file, copy=True)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(("call", "copy"), [("symlink_to", False), ("replace", True)])
def test_a_file_system_that_refuses_leaves_nothing(
    library: Library,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    call: str,
    copy: bool,
) -> None:
    """Neither a link nor half a copy."""

    def refuse(*_: object) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(Unavailable):
        library.add(ACTOR, file, copy=copy)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(("role", "name"), [("chat", "tiny-model.Q8"), ("code", "tiny-model.Q8")])
def test_a_role_falls_back_to_the_chat_model(library: Library, role: str, name: str) -> None:
    """Code without a model of its own is chat's."""
    assert library.choose(ACTOR, role) == (name,)


def test_each_role_has_the_other_one_to_fall_back_on(file: Path, tmp_path: Path) -> None:
    """Where only code has a model, questions go to one that is not for code."""
    roles = {"chat": "", "code": "a"}
    library = Library(tmp_path / "models", _allow, inspect, roles, shipped={})
    library.add(ACTOR, file, name="a")
    assert library.choose(ACTOR, "chat") == library.choose(ACTOR, "code") == ("a",)
    library.add(ACTOR, file, name="b")
    library.add(ACTOR, file, name="c")
    assert library.choose(ACTOR, "chat") == ("b", "a")
    roles["chat"] = "c"
    assert library.choose(ACTOR, "chat") == ("c", "a")
    assert library.choose(ACTOR, "code") == ("a", "c")


@pytest.fixture
def shipping(tmp_path: Path, file: Path) -> Library:
    """A library to which a starter belongs."""
    folder = tmp_path / "package"
    folder.mkdir()
    starter = Path(shutil.copy(file, folder / "starter.gguf"))
    return Library(tmp_path / "models", _allow, inspect, {}, shipped={STARTER: starter})


def test_without_a_choice_the_first_model_serves(shipping: Library, file: Path) -> None:
    """The starter serves where nothing was added."""
    assert shipping.choose(ACTOR, "chat") == (STARTER,)
    shipping.add(ACTOR, file, name="b")
    shipping.add(ACTOR, file, name="a")
    assert shipping.choose(ACTOR, "chat") == ("a",)


def test_a_shipped_model_is_listed_and_stays(shipping: Library, tmp_path: Path) -> None:
    """It lies in the package, which is not ours to change."""
    (model,) = shipping.page(ACTOR).items
    assert model.file == str(tmp_path / "package/starter.gguf")
    assert shipping.file(ACTOR, STARTER) == tmp_path / "package/starter.gguf"
    assert shipping.info(ACTOR, STARTER).parameters
    with pytest.raises(Conflict, match="starter ships with localai"):
        shipping.remove(ACTOR, STARTER)
    assert (tmp_path / "package/starter.gguf").exists()


def test_a_shipped_name_is_taken(shipping: Library, tmp_path: Path) -> None:
    """Another file needs another name; one put there by hand is the owner's wish."""
    other = gguf_models.random_llama(tmp_path / "downloads" / "starter.gguf", seed=8)
    with pytest.raises(Conflict, match="another model is named starter") as caught:
        shipping.add(ACTOR, other)
    assert caught.value.hint == f"ai models add {other} --name OTHER"
    (tmp_path / "models").mkdir(exist_ok=True)
    shutil.copy(other, tmp_path / "models/starter.gguf")
    assert shipping.file(ACTOR, STARTER) == tmp_path / "models/starter.gguf"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read whole for their digests."""
    found: list[Path] = []

    def reading(file: Path) -> str:
        found.append(file)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "file_sha256", reading)
    return found


def _digest(library: Library, name: str) -> str:
    return library.digest(ACTOR, name, library.file(ACTOR, name))


@pytest.mark.parametrize("copy", [True, False])
def test_a_digest_is_worked_out_when_a_model_is_added(
    library: Library, file: Path, tmp_path: Path, read: list[Path], copy: bool
) -> None:
    """And kept: neither another process nor a listing reads the file again."""
    library.add(ACTOR, file, copy=copy)
    assert len(read) == 1
    library.add(ACTOR, file, copy=copy)
    library.page(ACTOR)
    later = Library(tmp_path / "models", _allow, inspect, {}, shipped={})
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert _digest(library, "tiny-model.Q8") == _digest(later, "tiny-model.Q8") == expected
    assert len(read) == 1


def test_a_changed_file_has_another_digest(library: Library, file: Path, read: list[Path]) -> None:
    """Also where its time was set back; then it is kept again."""
    library.add(ACTOR, file)
    times, before = file.stat(), _digest(library, "tiny-model.Q8")
    with file.open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        weights.write(b"\x7f")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = _digest(library, "tiny-model.Q8")
    assert after == hashlib.sha256(file.read_bytes()).hexdigest() != before
    assert _digest(library, "tiny-model.Q8") == after
    assert len(read) == 2


def test_a_sidecar_without_a_digest_gets_one_when_it_is_needed(
    library: Library, file: Path, tmp_path: Path, read: list[Path]
) -> None:
    """As a file has that was put there by hand, or a home of before."""
    library.add(ACTOR, file, copy=True)
    sidecar = tmp_path / "models/tiny-model.Q8.json"
    kept = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({k: v for k, v in kept.items() if k not in {"sha256", "state"}}))
    assert library.info(ACTOR, "tiny-model.Q8").is_copy
    assert _digest(library, "tiny-model.Q8") == kept["sha256"]
    assert json.loads(sidecar.read_text()) == kept
    assert len(read) == 2


def test_a_digest_that_cannot_be_kept_is_told(
    library: Library, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of models may be read-only."""
    (tmp_path / "models").mkdir()
    shutil.copy(file, tmp_path / "models/dropped.gguf")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(module, "write_private", refuse)
    assert _digest(library, "dropped") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_shipped_models_digest_is_kept_in_the_home(
    shipping: Library, tmp_path: Path, read: list[Path]
) -> None:
    """The package is not ours to write into."""
    assert _digest(shipping, STARTER) == _digest(shipping, STARTER)
    assert read == [tmp_path / "package/starter.gguf"]
    assert json.loads((tmp_path / "models/starter.json").read_text())["sha256"]


def _refuse(_: object, permission: str) -> None:
    raise Denied(permission)


@pytest.mark.parametrize(
    ("act", "permission"),
    [
        (lambda library: library.add(ACTOR, Path("x.gguf")), "models:write"),
        (lambda library: library.remove(ACTOR, "x"), "models:write"),
        (lambda library: library.page(ACTOR), "models:read"),
        (lambda library: library.get(ACTOR, "x"), "models:read"),
        (lambda library: library.info(ACTOR, "x"), "models:read"),
        (lambda library: library.file(ACTOR, "x"), "models:read"),
        (lambda library: library.digest(ACTOR, "x", Path("x.gguf")), "models:read"),
        (lambda library: library.choose(ACTOR, "chat"), "models:read"),
    ],
)
def test_permission_is_asked_first(
    tmp_path: Path, act: Callable[[Library], object], permission: str
) -> None:
    """Before anything is looked at."""
    with pytest.raises(Denied, match=permission):
        act(Library(tmp_path, _refuse, inspect, {}))


def test_what_an_older_version_kept_is_read_once_more(
    library: Library, file: Path, tmp_path: Path, read: list[Path]
) -> None:
    """It had less of the header; the digest and where the file came from stay."""
    library.add(ACTOR, file, copy=True)
    sidecar = tmp_path / "models/tiny-model.Q8.json"
    kept = json.loads(sidecar.read_text())
    older = {name: value for name, value in kept.items() if name != "format"}
    older["info"] = {n: v for n, v in kept["info"].items() if n not in {"shape", "calls_tools"}}
    sidecar.write_text(json.dumps(older))
    assert library.header(ACTOR, "tiny-model.Q8").shape == inspect(file).shape
    assert library.info(ACTOR, "tiny-model.Q8").is_copy
    assert json.loads(sidecar.read_text()) == kept
    _digest(library, "tiny-model.Q8")
    assert len(read) == 1
